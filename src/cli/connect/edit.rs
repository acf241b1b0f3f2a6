//! Changing a file that belongs to another program: seen before, kept aside, replaced at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Largest file that is read.
const LARGEST: u64 = 16 << 20;

/// Why a file cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum EditError {
    #[error("{} is a link to {}; name that file with --file", .0.display(), .1.display())]
    Link(PathBuf, PathBuf),
    #[error("{} is no ordinary file; name one with --file", .0.display())]
    Kind(PathBuf),
    #[error("{} is larger than 16 MiB; is it the right file?", .0.display())]
    Large(PathBuf),
    #[error("{} is not UTF-8; save it as UTF-8 and try again", .0.display())]
    Text(PathBuf),
    #[error("{} has just been changed by somebody else; nothing was written, try again", .0.display())]
    Changed(PathBuf),
    #[error("{} cannot be {what}: {error}", path.display())]
    Io { path: PathBuf, what: &'static str, error: io::Error },
}

/// A file as it is, or the place where one will be.
#[derive(Debug)]
pub(in crate::cli) struct Existing {
    pub(in crate::cli) path: PathBuf,
    /// Its text; none where there is no such file.
    pub(in crate::cli) text: Option<String>,
}

impl Existing {
    /// Reads it. A link is not followed: what is behind it may be no file of this person.
    ///
    /// # Errors
    /// When it is no ordinary file of text.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, EditError> {
        let failed = |error| EditError::Io { path: path.to_owned(), what: "read", error };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), text: None });
            }
            Err(error) => return Err(failed(error)),
            Ok(about) if about.is_symlink() => {
                let target = fs::canonicalize(path).or_else(|_| fs::read_link(path));
                return Err(EditError::Link(path.to_owned(), target.map_err(failed)?));
            }
            Ok(about) if !about.is_file() => return Err(EditError::Kind(path.to_owned())),
            Ok(about) if about.len() > LARGEST => return Err(EditError::Large(path.to_owned())),
            Ok(_) => {}
        }
        let bytes = fs::read(path).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|_| EditError::Text(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), text: Some(text) })
    }

    /// Keeps the old text beside the file, under a name that nothing has yet, and puts the new
    /// one in its place with the same rights, at once. A new file is its owner's alone.
    ///
    /// # Errors
    /// When the file has changed meanwhile or cannot be written; it is as it was then.
    pub(in crate::cli) fn replace(&self, new: &str) -> Result<Option<PathBuf>, EditError> {
        let failed = |error| EditError::Io { path: self.path.clone(), what: "written", error };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if self.text.is_none() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let now = Self::read(&self.path)?;
        if now.text != self.text {
            return Err(EditError::Changed(self.path.clone()));
        }
        let backup = match &self.text {
            Some(old) => Some(self.keep(old).map_err(failed)?),
            None => None,
        };
        let (place, mut file) = fresh(&self.path, "new").map_err(failed)?;
        let written = (|| {
            file.write_all(new.as_bytes())?;
            if self.text.is_some() {
                file.set_permissions(fs::metadata(&self.path)?.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&place, &self.path)?;
            // The name is on the disk too.
            File::open(folder)?.sync_all()
        })();
        if let Err(error) = written {
            // It may be in its place already.
            let _ = fs::remove_file(&place);
            return Err(failed(error));
        }
        Ok(backup)
    }

    fn keep(&self, old: &str) -> io::Result<PathBuf> {
        let (place, mut file) = fresh(&self.path, "bak")?;
        file.write_all(old.as_bytes())?;
        file.sync_all()?;
        Ok(place)
    }
}

/// A new file beside another one, for its owner alone.
fn fresh(path: &Path, ending: &str) -> io::Result<(PathBuf, File)> {
    for number in 0..1_000 {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if number == 0 { format!(".{ending}") } else { format!(".{ending}{number}") });
        let place = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return Ok((place, other?)),
        }
    }
    Err(io::Error::other("there are too many copies beside it"))
}

/// What changes, as `diff -u` shows it. The new text differs in one place.
pub(in crate::cli) fn difference(name: &str, old: &str, new: &str) -> String {
    const AROUND: usize = 3;
    let lines = |text: &'_ str| -> Vec<String> {
        text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
    };
    let (old, new) = (lines(old), lines(new));
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (begin, after) = (same.saturating_sub(AROUND), tail.min(AROUND));
    let counts = |lines: &[String]| lines.len() - tail + after - begin;
    let mut text = format!(
        "--- {name}\n+++ {name}\n@@ -{},{} +{},{} @@\n",
        begin + 1,
        counts(&old),
        begin + 1,
        counts(&new)
    );
    let mut put = |sign: char, lines: &[String]| {
        for line in lines {
            text.push(sign);
            text += line;
            text.push('\n');
        }
    };
    put(' ', &old[begin..same]);
    put('-', &old[same..old.len() - tail]);
    put('+', &new[same..new.len() - tail]);
    put(' ', &old[old.len() - tail..old.len() - tail + after]);
    text.truncate(text.trim_end_matches('\n').len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_the_old_one_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(folder.path().join("mcp.json.bak"), "older").unwrap();
        let file = Existing::read(&path).unwrap();
        let backup = file.replace("new").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
        assert_eq!(fs::read_to_string(folder.path().join("mcp.json.bak")).unwrap(), "older");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&backup)), (0o644, 0o600));
        assert!(matches!(file.replace("newer"), Err(EditError::Changed(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
        let new = Existing::read(&folder.path().join("a/b.json")).unwrap();
        assert_eq!(new.replace("x").unwrap(), None);
        assert_eq!(mode(&folder.path().join("a/b.json")), 0o600);
    }

    #[test]
    fn links_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&file, "{}").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let error = Existing::read(&link).unwrap_err().to_string();
        assert!(error.contains("real.json") && error.contains("--file"), "{error}");
        assert!(matches!(Existing::read(folder.path()), Err(EditError::Kind(_))));
    }

    #[test]
    fn a_difference_reads_as_one() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let new = "1\n2\n3\n4\n5\nx\ny\n6\n7\n8\n";
        assert_eq!(
            difference("f", old, new),
            "--- f\n+++ f\n@@ -3,6 +3,8 @@\n 3\n 4\n 5\n+x\n+y\n 6\n 7\n 8"
        );
        assert_eq!(difference("f", "", "a\n"), "--- f\n+++ f\n@@ -1,0 +1,1 @@\n+a");
    }
}
