//! The rounds.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::support::{Proxy, Setup, say, serve_everything, until};
use crate::world::{Ask, OPERATOR, value};
use crate::writer::{Book, State, Writer};

const WRITERS: usize = 3;
/// Acknowledged writes of a round at least.
const LEAST: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    killed(5);
}

#[test]
#[ignore = "two hundred kills take some minutes"]
fn what_was_acknowledged_is_there_after_each_of_two_hundred_kills() {
    killed(200);
}

/// Numbers without an order; the first is from the clock and told, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // Knuth's constants of MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn killed(rounds: usize) {
    let (_upstream, address) = serve_everything(&[]);
    let setup = Setup::new().env("OPS", OPERATOR).config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nkeys = [{{ name = \"ops\", env = \"OPS\" }}]\n\
         [tenants.filed]\nkeys = []\n[upstreams.gh]\nurl = \"http://{address}/mcp\"\n\
         headers = {{ Authorization = \"Bearer {{secret.token}}\" }}\n"
    ));
    let mut dice = Dice(u64::from(std::process::id()));
    say(&format!("the first number is {}", dice.0));
    let began = Instant::now();
    let (mut books, mut all) = (Vec::new(), 0);
    let mut proxy = setup.serve();
    for round in 0..rounds {
        let acknowledged = AtomicUsize::new(0);
        let mut own: [Book; WRITERS] = Default::default();
        let setup = thread::scope(|scope| {
            for (at, book) in own.iter_mut().enumerate() {
                let writer = Writer::new(proxy.address(), book, &acknowledged);
                scope.spawn(move || writer.run(&format!("t{round}-{at}")));
            }
            let least = LEAST + usize::try_from(dice.below(12)).expect("small");
            until("enough was written", PATIENCE, || {
                (acknowledged.load(Ordering::Relaxed) >= least).then_some(())
            });
            // Not always just after an acknowledgement.
            let pause = Instant::now() + Duration::from_micros(dice.below(8_000));
            while Instant::now() < pause {
                std::hint::spin_loop();
            }
            proxy.kill()
        });
        all += acknowledged.into_inner();
        books.extend(own);
        // What the next start repairs is not looked at before it.
        proxy = setup.serve();
        let recent = books.len() - WRITERS;
        for book in &books[recent..] {
            there(proxy.address(), book);
        }
        whole(&proxy);
        if round % 20 == 19 || round + 1 == rounds {
            let records = recorded(proxy.setup(), &books);
            say(&format!("{} kills, {all} acknowledged writes, {records} records", round + 1));
        }
    }
    // And none is lost later.
    let step = books.len().div_ceil(60);
    for book in books.iter().step_by(step) {
        there(proxy.address(), book);
    }
    whole(&proxy);
    let log = proxy.log();
    assert!(!log.contains("panicked"), "{log}");
    let records = recorded(proxy.setup(), &books);
    say(&format!(
        "{rounds} kills, {all} acknowledged writes, {records} records, none missing, in {:?}",
        began.elapsed()
    ));
}

/// Everything that was acknowledged is as it was acknowledged.
fn there(address: SocketAddr, book: &Book) {
    for (tenant, state) in &book.tenants {
        let path = format!("/api/v1/tenants/{tenant}");
        let status = Ask::new("GET", &path).key(OPERATOR).at(address).status;
        judge(&path, *state, status, [200, 404]);
    }
    for (key, state) in &book.keys {
        let status = Ask::new("GET", "/api/v1/me").key(key).at(address).status;
        judge(&key[..15], *state, status, [200, 401]);
    }
    for (tenant, (generation, state)) in &book.secrets {
        if book.tenants.get(tenant) != Some(&State::There) {
            continue;
        }
        let listed =
            value(&Ask::new("GET", "/api/v1/secrets").key(OPERATOR).tenant(tenant).at(address));
        let found = listed["items"].as_array().expect("a list").first();
        let status = found.map_or(404, |_| 200);
        judge(&format!("the secret of {tenant}"), *state, status, [200, 404]);
        if let Some(found) = found {
            let set = found["generation"].as_u64().expect("a number");
            // One more may have been set and not acknowledged.
            assert!((*generation..=generation + 1).contains(&set), "{tenant}: {found}");
        }
    }
}

fn judge(what: &str, state: State, status: u16, [there, gone]: [u16; 2]) {
    match state {
        State::There => assert_eq!(status, there, "{what} is lost"),
        State::Gone => assert_eq!(status, gone, "{what} is back"),
        State::Either => assert!(status == there || status == gone, "{what}: {status}"),
    }
}

/// Both databases are sound, and the audit's chains hold.
fn whole(proxy: &Proxy) {
    for name in ["mcp-proxy.db", "mcp-proxy.audit.db"] {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let database = Connection::open_with_flags(proxy.folder().join(name), flags);
        let database = database.expect("it is there");
        database.busy_timeout(PATIENCE).expect("a limit");
        let said: String = database
            .query_row("PRAGMA integrity_check", (), |row| row.get(0))
            .expect("it can be checked");
        assert_eq!(said, "ok", "{name}");
        drop(database);
    }
    let (status, output, errors) = proxy.setup().run(&["audit", "verify"], b"");
    assert!(status.success(), "{output}{errors}");
}

/// Each acknowledged write has its record; gives how many records there are.
fn recorded(setup: &Setup, books: &[Book]) -> usize {
    let (status, output, errors) = setup.run(&["audit", "export"], b"");
    assert!(status.success(), "{errors}");
    let mut told: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut all = 0;
    for line in output.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON lines");
        let word = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        all += 1;
        if word("outcome") == "ok" {
            *told.entry((word("method"), word("target"), word("tenant"))).or_default() += 1;
        }
    }
    for ((operation, path, tenant), count) in books.iter().flat_map(|book| &book.writes) {
        let place = (format!("admin/{operation}"), path.clone(), tenant.clone());
        // Those of several writers may stand under one path, and are compared as a sum below.
        let found = told.get(&place).copied().unwrap_or_default();
        assert!(found >= *count, "{place:?}: {count} acknowledged, {found} recorded");
    }
    let sums = |operation: &str| {
        let own = books.iter().flat_map(|book| &book.writes);
        own.filter(|((name, ..), _)| *name == operation).map(|(_, count)| count).sum::<usize>()
    };
    for operation in ["createTenant", "createKey", "deleteTenant", "revokeKey", "setSecret"] {
        let method = format!("admin/{operation}");
        let recorded: usize =
            told.iter().filter(|((name, ..), _)| *name == method).map(|(_, count)| count).sum();
        let (acknowledged, most) = (sums(operation), sums(operation) + books.len());
        // Not more either, but for those that the kills met between disk and answer.
        assert!(
            (acknowledged..=most).contains(&recorded),
            "{operation}: {acknowledged} acknowledged, {recorded} recorded"
        );
    }
    all
}
