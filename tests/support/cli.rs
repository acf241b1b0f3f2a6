//! The commands that tests use, each written once.

use super::Setup;

impl Setup {
    fn must(&self, args: &[&str], input: &[u8]) -> String {
        let (status, output, errors) = self.run(args, input);
        assert!(status.success(), "`{}` ended with {status}:\n{output}{errors}", args.join(" "));
        output
    }

    /// Makes a tenant in the store.
    pub(crate) fn add_tenant(&self, tenant: &str) {
        self.must(&["tenant", "add", tenant], b"");
    }

    /// Makes a key and gives its text.
    pub(crate) fn create_key(&self, tenant: &str, name: &str) -> String {
        let output = self.must(&["key", "create", "--tenant", tenant, "--name", name], b"");
        let key = output
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .find(|word| word.starts_with("mcpp_"));
        key.unwrap_or_else(|| panic!("`key create` printed no key:\n{output}")).to_owned()
    }

    /// Puts a value into a slot, by standard input.
    pub(crate) fn set_secret(&self, tenant: &str, upstream: &str, slot: &str, value: &str) {
        self.must(&["secret", "set", "--tenant", tenant, upstream, slot], value.as_bytes());
    }
}
