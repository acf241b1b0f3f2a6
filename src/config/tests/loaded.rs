//! Files on a disk: the configuration itself, and the secrets that it points to.

use std::io::Write;
use std::path::PathBuf;

use crate::config::{SecretSource, load, resolve};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    permit(&path, 0o600);
    path
}

#[cfg(unix)]
fn permit(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn secret(path: PathBuf) -> Result<String, String> {
    match resolve(&SecretSource::File(path)) {
        Ok(secret) => Ok(secret.expose().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = folder();
    let path = write(&folder, "a.toml", b"[store]\nurl = \"sqlite:x.db\"\n");
    let (config, warnings) = load(&path).unwrap();
    assert_eq!(config.store.path, folder.path().join("x.db"));
    assert_eq!(config.seal.key_file, folder.path().join("mcp-proxy.key"));
    assert!(warnings.is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = folder();
    let missing = folder.path().join("none.toml");
    assert_eq!(
        load(&missing).unwrap_err().to_string(),
        format!(
            "{}: cannot be read: No such file or directory (os error 2)\n\
             hint: name the file, or go to the folder where it is",
            missing.display()
        )
    );
    let latin = write(&folder, "latin.toml", b"[server]\n# caf\xe9\n");
    assert!(load(&latin).unwrap_err().to_string().contains("line 2 is not UTF-8"));
    assert!(load(folder.path()).unwrap_err().to_string().contains("is no file"));
}

#[test]
#[cfg(unix)]
fn a_file_that_everybody_may_change_is_refused() {
    let folder = folder();
    let path = write(&folder, "a.toml", b"");
    for mode in [0o602, 0o666, 0o777] {
        permit(&path, mode);
        let told = load(&path).unwrap_err().to_string();
        assert!(told.contains("is open to other users") && told.contains("chmod o-w"), "{told}");
    }
    permit(&path, 0o644);
    assert!(load(&path).is_ok());
}

#[test]
fn one_line_end_of_a_secret_file_is_not_part_of_the_secret() {
    let folder = folder();
    for (bytes, value) in [
        (&b"s3cret"[..], "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" s3cret \n", " s3cret "),
    ] {
        assert_eq!(secret(write(&folder, "s", bytes)).unwrap(), value);
    }
}

#[test]
fn a_secret_that_could_break_a_header_is_refused_without_being_shown() {
    let folder = folder();
    for (bytes, why) in [
        (&b"hunter2\n\n"[..], "line break or NUL"),
        (b"a\r\nX-Other: hunter2", "line break or NUL"),
        (b"hunter2\0", "line break or NUL"),
        (b"hunter2\xff", "not UTF-8"),
        (b"", "is empty"),
        (b"\n", "is empty"),
    ] {
        let told = secret(write(&folder, "s", bytes)).unwrap_err();
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert!(secret(write(&folder, "s", &[b'a'; 70_000])).unwrap_err().contains("64 KiB"));
    assert!(secret(folder.path().join("none")).unwrap_err().contains("cannot be read"));
    assert!(secret(folder.path().to_path_buf()).unwrap_err().contains("is no file"));
}

#[test]
#[cfg(unix)]
fn a_secret_file_that_others_may_read_is_refused() {
    let folder = folder();
    let path = write(&folder, "s", b"s3cret");
    for mode in [0o604, 0o644, 0o620, 0o602, 0o666] {
        permit(&path, mode);
        let told = secret(path.clone()).unwrap_err();
        assert!(told.contains("chmod 600"), "{mode:o}: {told}");
    }
    for mode in [0o600, 0o400, 0o440, 0o640] {
        permit(&path, mode);
        assert_eq!(secret(path.clone()).unwrap(), "s3cret");
    }
}

#[test]
fn a_variable_gives_its_value_and_a_missing_one_is_named() {
    let path = resolve(&SecretSource::Env("PATH".to_owned())).unwrap();
    assert!(!path.expose().is_empty());
    let missing = resolve(&SecretSource::Env("MCP_PROXY_NO_SUCH_VARIABLE".to_owned()));
    assert_eq!(
        missing.unwrap_err().to_string(),
        "the environment has no variable `MCP_PROXY_NO_SUCH_VARIABLE`; \
         set it before mcp-proxy starts"
    );
}
