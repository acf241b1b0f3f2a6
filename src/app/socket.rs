//! The socket beside the store, by which commands on the same machine find the proxy that serves
//! it. Whether one runs is told by the system: to the socket of a dead process nobody connects.
//!
//! The socket is no right: whoever comes by it shows a token that only the root key makes. Who
//! may merely write into the folder gets neither an answer nor, by a socket of his own, such a
//! token, since the other end must run as the owner of the root key's file.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::config::Config;

/// Longest path that a socket's address takes everywhere (`sun_path`, 104 bytes with its end).
const LONGEST: usize = 103;

/// Where the socket of a store is.
#[must_use]
pub fn socket_path(config: &Config) -> PathBuf {
    let mut path = config.store.path.clone().into_os_string();
    path.push(".sock");
    path.into()
}

/// A path as short as an address needs it; the folder is held open as long as it is used.
fn short(path: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    if path.as_os_str().len() <= LONGEST {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    Ok((Path::new("/proc/self/fd").join(number.to_string()).join(name), Some(folder)))
}

/// Device, inode, and when it was last changed: a new file may get the inode of one that is gone.
type Own = (u64, u64, i64, i64);

fn own(data: &std::fs::Metadata) -> Own {
    (data.dev(), data.ino(), data.ctime(), data.ctime_nsec())
}

/// The bound socket. Its file goes when the value does.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// Another process may have put its own in the same place meanwhile.
    own: Own,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|data| own(&data) == self.own) {
            // Without it the next start takes the place of a socket that nobody listens at.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds the socket of the store; none when another process that lives has it.
pub(super) async fn bind(config: &Config) -> io::Result<Option<(UnixListener, Socket)>> {
    let path = socket_path(config);
    let (place, _folder) = short(&path)?;
    if let Ok(data) = std::fs::symlink_metadata(&path) {
        if !data.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there"));
        }
        match UnixStream::connect(&place).await {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(&path)?;
            }
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(&place)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let data = std::fs::symlink_metadata(&path)?;
    Ok(Some((listener, Socket { own: own(&data), path })))
}

/// Connects to the proxy that serves the store of this configuration; none when there is none.
///
/// # Errors
/// When there may be one, and it cannot be spoken to.
pub async fn connect_local(config: &Config) -> io::Result<Option<UnixStream>> {
    let path = socket_path(config);
    let connected = match short(&path) {
        Ok((place, _folder)) => UnixStream::connect(&place).await,
        Err(error) => Err(error),
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            };
        }
    };
    let owner = std::fs::metadata(&config.seal.key_file)?.uid();
    let peer = stream.peer_cred()?.uid();
    if peer != owner && peer != 0 {
        let reason =
            format!("it belongs to the user {peer} and not to {owner}, who owns the key file");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(Some(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let (mut config, _) = crate::config::check_text("", "mcp-proxy.toml", folder).unwrap();
        config.store.path = folder.join("store.db");
        config.seal.key_file = folder.join("root.key");
        std::fs::write(&config.seal.key_file, "k").unwrap();
        config
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_at_is_replaced_and_one_that_lives_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        assert!(connect_local(&config).await.unwrap().is_none());
        let (listener, socket) = bind(&config).await.unwrap().unwrap();
        let mode = std::fs::metadata(socket_path(&config)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(connect_local(&config).await.unwrap().is_some());
        assert!(bind(&config).await.unwrap().is_none(), "the living one keeps it");
        // As after a kill: the file is there, and nobody listens.
        drop(listener);
        assert!(connect_local(&config).await.unwrap().is_none());
        let (_listener, next) = bind(&config).await.unwrap().unwrap();
        drop(socket);
        assert!(connect_local(&config).await.unwrap().is_some(), "not its own is not removed");
        drop(next);
        assert!(!socket_path(&config).exists());
    }

    #[tokio::test]
    async fn a_long_path_has_a_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&deep).unwrap();
        let config = config(&deep);
        let (_listener, _socket) = bind(&config).await.unwrap().unwrap();
        assert!(connect_local(&config).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        std::fs::write(socket_path(&config), "x").unwrap();
        assert!(bind(&config).await.is_err());
        assert!(socket_path(&config).exists());
    }
}
