//! Whether files are the ones that were read: by what the system says of them, without reading.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::config::Tls;

/// Device, inode, size, and the time of the last change of content, name or rights. A file that
/// takes the place of another differs in the inode. None where there is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

fn stamp(path: &PathBuf) -> Stamp {
    // Through links: a link that points elsewhere is another file.
    let data = std::fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec()))
}

/// The configuration file, and the certificate that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps {
    file: (PathBuf, Stamp),
    tls: Vec<(PathBuf, Stamp)>,
}

impl Stamps {
    /// Looks at a configuration file and the certificate in it.
    pub(super) fn take(file: PathBuf, tls: Option<&Tls>) -> Self {
        let stamp = stamp(&file);
        Self::follow(Self { file: (file, stamp), tls: Vec::new() }, tls)
    }

    /// The same file, and this certificate as it is now.
    pub(super) fn follow(self, tls: Option<&Tls>) -> Self {
        let paths = tls.map(|Tls { cert, key }| [cert, key]).into_iter().flatten();
        let tls = paths.map(|path| (path.clone(), stamp(path))).collect();
        Self { file: self.file, tls }
    }

    /// Looks at the same files once more.
    pub(super) fn again(&self) -> Self {
        let again = |(path, _): &(PathBuf, Stamp)| (path.clone(), stamp(path));
        Self { file: again(&self.file), tls: self.tls.iter().map(again).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn writing_replacing_removing_and_changing_rights_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "1").unwrap();
        let mut seen = Stamps::take(path.clone(), None);
        assert_eq!(seen, seen.again());
        let mut changed = |what: &str| {
            let again = seen.again();
            assert_ne!(seen, again, "{what}");
            seen = again;
        };
        fs::write(&path, "12").unwrap();
        changed("written");
        fs::write(&other, "34").unwrap();
        fs::rename(&other, &path).unwrap();
        changed("replaced");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        changed("rights");
        fs::remove_file(&path).unwrap();
        changed("removed");
        fs::write(&path, "12").unwrap();
        changed("back");
    }

    #[test]
    fn the_certificate_is_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let tls = Tls { cert: place("cert"), key: place("key") };
        let seen = Stamps::take(place("file"), Some(&tls));
        fs::write(&tls.key, "k").unwrap();
        assert_ne!(seen, seen.again());
        assert_eq!(seen.again(), seen.follow(Some(&tls)));
    }
}
