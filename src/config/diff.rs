//! What differs between the configuration that runs and what the file says now. Decides, does
//! nothing: `app/reload` acts on it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{
    Admin, Config, KeyDeclaration, Made, Namespace, Profile, Server, TenantDeclaration, Upstream,
};
use crate::base::{Name, TenantId};

/// What a new configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Upstreams that were not there before.
    pub added: Vec<Name>,
    /// Upstreams whose entry is another one.
    pub changed: Vec<Name>,
    /// Those of the changed ones that need new links: their processes and sessions end.
    pub relinked: Vec<Name>,
    /// Upstreams that are there no more.
    pub removed: Vec<Name>,
    /// Upstreams whose entry says the same and stands on other lines; no difference to anybody
    /// but to who asks where it stands.
    pub moved: Vec<Name>,
    /// Profiles that are new, gone, or have other upstreams or rules.
    pub profiles: Vec<Name>,
    /// Tenants that are new, gone, or have other keys or secrets.
    pub tenants: Vec<Name>,
    /// Tenants that have turned upstreams on or off for themselves.
    pub picks: Vec<TenantId>,
    /// Keys of the file that hold from now on, such as `server.hosts`.
    pub settings: Vec<&'static str>,
    /// Keys of the file that hold after a restart.
    pub restart: Vec<&'static str>,
    /// True when clients see something else of upstreams that are not named here, too.
    pub views: bool,
}

impl Difference {
    /// True when the file says what runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { moved: self.moved.clone(), ..Self::default() }
    }

    fn compare<T: PartialEq>(&mut self, key: &'static str, old: &T, new: &T) {
        if old != new {
            self.settings.push(key);
        }
    }

    /// Keeps the old value, which holds until the process starts anew.
    fn fixed<T: PartialEq + Clone>(&mut self, key: &'static str, old: &T, new: &mut T) {
        if old != new {
            self.restart.push(key);
            new.clone_from(old);
        }
    }

    fn server(&mut self, old: &Server, new: &mut Server) {
        let Server {
            listen,
            public_url,
            hosts,
            origins,
            trusted_proxies,
            tls,
            max_body,
            max_connections,
            session_idle,
            client_quirks,
        } = old;
        self.fixed("server.listen", listen, &mut new.listen);
        self.compare("server.public_url", public_url, &new.public_url);
        self.compare("server.hosts", hosts, &new.hosts);
        self.compare("server.origins", origins, &new.origins);
        self.compare("server.trusted_proxies", trusted_proxies, &new.trusted_proxies);
        self.compare("server.tls", tls, &new.tls);
        self.compare("server.max_body", max_body, &new.max_body);
        self.compare("server.max_connections", max_connections, &new.max_connections);
        self.compare("server.session_idle", session_idle, &new.session_idle);
        self.compare("server.client_quirks", client_quirks, &new.client_quirks);
    }

    fn namespace(&mut self, old: &Namespace, new: &Namespace) {
        let Namespace { separator, max_name } = old;
        self.compare("namespace.separator", separator, &new.separator);
        self.compare("namespace.max_name", max_name, &new.max_name);
        self.views |= old != new;
    }

    /// An entry that says the same stays the very same value: whoever holds it need not look.
    fn upstreams(
        &mut self,
        old: &BTreeMap<Name, Arc<Upstream>>,
        new: &mut BTreeMap<Name, Arc<Upstream>>,
    ) {
        self.removed = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
        for (name, entry) in new {
            match old.get(name) {
                None => self.added.push(name.clone()),
                Some(known) if known == entry => entry.clone_from(known),
                Some(known) if known.says_the_same(entry) => self.moved.push(name.clone()),
                Some(known) => {
                    self.changed.push(name.clone());
                    if !known.same_link(entry) {
                        self.relinked.push(name.clone());
                    }
                }
            }
        }
    }

    fn profiles(&mut self, old: &BTreeMap<Name, Arc<Profile>>, new: &BTreeMap<Name, Arc<Profile>>) {
        self.profiles = others(old, new, |known, entry| known.says_the_same(entry));
    }

    /// Of what was made, all else is seen in the upstreams and profiles themselves.
    fn picks(&mut self, old: &Made, new: &Made) {
        let all = old.off.keys().chain(new.off.keys());
        let mut others: Vec<_> =
            all.filter(|id| old.off.get(id) != new.off.get(id)).copied().collect();
        others.sort_unstable();
        others.dedup();
        self.picks = others;
    }

    fn admin(&mut self, old: &Admin, new: &mut Admin) {
        let Admin { listen, keys, programs } = old;
        self.compare("admin.programs", programs, &new.programs);
        self.fixed("admin.listen", listen, &mut new.listen);
        let same = |(one, two): (&KeyDeclaration, &KeyDeclaration)| one.says_the_same(two);
        if keys.len() != new.keys.len() || !keys.iter().zip(&new.keys).all(same) {
            self.settings.push("admin.keys");
        }
    }

    fn tenants(
        &mut self,
        old: &BTreeMap<Name, TenantDeclaration>,
        new: &BTreeMap<Name, TenantDeclaration>,
    ) {
        self.tenants = others(old, new, TenantDeclaration::says_the_same);
    }
}

/// The names of entries that are in one only, or that are not `same` in both.
fn others<T>(
    old: &BTreeMap<Name, T>,
    new: &BTreeMap<Name, T>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Name> {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let kept = |(name, entry): &(&Name, &T)| old.get(*name).is_some_and(|known| same(known, entry));
    let others = new.iter().filter(|entry| !kept(entry)).map(|(name, _)| name);
    gone.chain(others).cloned().collect()
}

/// Makes `new` the successor of `old`: gives what will run, with what only a restart can change
/// as it was, and what is different about it.
#[must_use]
pub fn succeed(old: &Config, mut new: Config) -> (Config, Difference) {
    let mut difference = Difference::default();
    // Without `..`, so that a section which is added is not forgotten here.
    let Config {
        // Its name is what it was read under, whatever the file says.
        file: _,
        revision: _,
        made,
        server,
        store,
        seal,
        namespace,
        limits,
        upstreams,
        profiles,
        tenants,
        admin,
        audit,
        bodies,
        telemetry,
        issuers,
        connect,
    } = old;
    difference.server(server, &mut new.server);
    difference.fixed("store", store, &mut new.store);
    difference.fixed("seal", seal, &mut new.seal);
    difference.namespace(namespace, &new.namespace);
    difference.compare("limits", limits, &new.limits);
    difference.upstreams(upstreams, &mut new.upstreams);
    difference.profiles(profiles, &new.profiles);
    difference.picks(made, &new.made);
    difference.tenants(tenants, &new.tenants);
    difference.admin(admin, &mut new.admin);
    difference.fixed("audit", audit, &mut new.audit);
    difference.compare("bodies", bodies, &new.bodies);
    difference.fixed("telemetry", telemetry, &mut new.telemetry);
    difference.compare("auth.issuers", issuers, &new.issuers);
    difference.compare("connect", connect, &new.connect);
    (new, difference)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing is different");
        }
        let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        let ids =
            |ids: &[TenantId]| ids.iter().map(TenantId::to_string).collect::<Vec<_>>().join(", ");
        let parts = [
            ("upstreams added", names(&self.added)),
            ("upstreams changed", names(&self.changed)),
            ("upstreams removed", names(&self.removed)),
            ("profiles", names(&self.profiles)),
            ("tenants", names(&self.tenants)),
            ("picks of tenants", ids(&self.picks)),
            ("settings", self.settings.join(", ")),
            ("only after a restart", self.restart.join(", ")),
        ];
        let mut separator = "";
        for (what, which) in parts.iter().filter(|(_, which)| !which.is_empty()) {
            write!(f, "{separator}{what}: {which}")?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::check_text;

    fn config(text: &str) -> Config {
        check_text(text, "mcp-proxy.toml", Path::new("/x")).unwrap_or_else(|p| panic!("{p}")).0
    }

    const BASE: &str = "[upstreams.a]\nurl = \"http://a/\"\n[upstreams.b]\ncommand = [\"b\"]\n\
                        [tenants.t]\nkeys = [{ name = \"k\", env = \"K\" }]\n";

    fn names(names: &[Name]) -> Vec<&str> {
        names.iter().map(Name::as_str).collect()
    }

    #[test]
    fn the_same_text_is_no_difference_and_keeps_the_entries() {
        let old = config(BASE);
        let (new, difference) = succeed(&old, config(BASE));
        assert!(difference.is_empty(), "{difference}");
        assert_eq!(difference.to_string(), "nothing is different");
        assert!(old.upstreams.iter().all(|(name, up)| Arc::ptr_eq(up, &new.upstreams[name])));
    }

    #[test]
    fn entries_are_told_apart_one_by_one() {
        let old = config(BASE);
        let text = "[server]\nhosts = [\"x.example\"]\n[upstreams.b]\ncommand = [\"b\", \"-v\"]\n\
                    [upstreams.c]\nurl = \"http://c/\"\n[tenants.u]\n";
        let (new, difference) = succeed(&old, config(text));
        assert_eq!(names(&difference.removed), ["a"]);
        assert_eq!(names(&difference.changed), ["b"]);
        assert_eq!(names(&difference.relinked), ["b"]);
        assert_eq!(names(&difference.added), ["c"]);
        assert_eq!(names(&difference.tenants), ["t", "u"]);
        assert_eq!(difference.settings, ["server.hosts"]);
        assert!(difference.restart.is_empty() && !difference.views);
        assert_eq!(
            difference.to_string(),
            "upstreams added: c; upstreams changed: b; upstreams removed: a; tenants: t, u; \
             settings: server.hosts"
        );
        assert_eq!(succeed(&new, config(text)).1, Difference::default());
    }

    #[test]
    fn what_is_looked_at_for_each_call_ends_no_process() {
        let old = config(BASE);
        let text = BASE.replace("command = [\"b\"]", "command = [\"b\"]\ntimeout = \"5s\"");
        let (new, difference) = succeed(&old, config(&text));
        assert_eq!(names(&difference.changed), ["b"]);
        assert!(difference.relinked.is_empty());
        assert!(Arc::ptr_eq(&old.upstreams["a"], &new.upstreams["a"]));
        assert!(!Arc::ptr_eq(&old.upstreams["b"], &new.upstreams["b"]));
    }

    #[test]
    fn rules_and_profiles_end_no_process_and_lines_are_no_difference() {
        let text = format!(
            "{BASE}[profiles.p]\nupstreams = [\"a\"]\ntools = {{ allow = [\"x_*\"] }}\n\
             [profiles.q]\nupstreams = [\"a\", \"b\"]\n"
        );
        let ruled = text.replace("[upstreams.b]", "tools = { deny = [\"x\"] }\n[upstreams.b]");
        let old = config(&text);
        let (new, difference) = succeed(&old, config(&ruled));
        assert_eq!((names(&difference.changed), names(&difference.relinked)), (vec!["a"], vec![]));
        assert!(difference.profiles.is_empty() && difference.tenants.is_empty(), "{difference}");

        // Everything stands two lines below, and says the same.
        let lower = format!("# one\n# two\n{ruled}");
        let (lower, difference) = succeed(&new, config(&lower));
        assert!(difference.is_empty(), "{difference:?}");
        assert_eq!(names(&difference.moved), ["a"]);
        let line = |config: &Config| config.upstreams["a"].rules.tools.as_ref().unwrap().line;
        assert_eq!(line(&lower), line(&new) + 2);

        let other = ruled.replace("x_*", "y_*").replace("[profiles.q]", "[profiles.r]");
        let difference = succeed(&lower, config(&other)).1;
        assert_eq!(names(&difference.profiles), ["q", "p", "r"]);
        assert!(difference.changed.is_empty(), "{difference}");
        assert!(!difference.is_empty());
    }

    #[test]
    fn the_operator_s_keys_and_issuers_change_and_his_listener_does_not() {
        let old = config(BASE);
        let text = format!(
            "[admin]\nlisten = \"127.0.0.1:1\"\nkeys = [{{ name = \"o\", env = \"O\" }}]\n\
             [[auth.issuers]]\nissuer = \"https://id.example\"\naudience = \"x\"\n\
             algorithms = [\"RS256\"]\nrules = [{{ tenant = \"t\" }}]\n{BASE}"
        );
        let (new, difference) = succeed(&old, config(&text));
        assert_eq!(difference.settings, ["admin.keys", "auth.issuers"]);
        assert_eq!(difference.restart, ["admin.listen"]);
        assert_eq!((new.admin.listen, new.admin.keys.len(), new.issuers.len()), (None, 1, 1));
    }

    #[test]
    fn what_needs_a_restart_stays_and_is_told_each_time() {
        let old = config(BASE);
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:1\"\n[store]\nurl = \"sqlite:other.db\"\n{BASE}"
        );
        let (new, difference) = succeed(&old, config(&text));
        assert_eq!(difference.restart, ["server.listen", "store"]);
        assert_eq!((new.server.listen, &new.store), (old.server.listen, &old.store));
        assert_eq!(succeed(&new, config(&text)).1.restart, ["server.listen", "store"]);
    }
}
