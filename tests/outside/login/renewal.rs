//! Before the end, on 401, while nobody answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::login::bed::{Browser, OPERATOR, api, call, link, login_state, proxy, push, until_good};
use crate::login::server::{Mode, World};
use crate::support::{Client, Era, Process, Proxy, address_in, until};

/// Lets so many clients, spread over these addresses, call once each; all must go well.
fn calls(proxy: &Proxy, addresses: &[SocketAddr], count: usize) {
    crate::support::raise_open_files();
    let good: usize = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..count)
            .map(|at| {
                let address = addresses[at % addresses.len()];
                scope.spawn(move || {
                    let mut client =
                        Client::connect(Era::Modern, address, "/mcp", Some(proxy.key()));
                    let (failed, said) = call(&mut client);
                    assert!(!failed, "{said}");
                })
            })
            .collect();
        calls.into_iter().filter_map(|call| call.join().ok()).count()
    });
    assert_eq!(good, count);
}

#[test]
fn at_the_end_of_a_token_many_calls_make_one_refresh() {
    const CALLS: usize = 500;
    let world = World::start();
    let proxy = proxy(&world);
    push(&proxy, &world, 3_600);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    let opened = world.state().count("initialize");
    // The next token is due at once; every call finds that out for itself.
    push(&proxy, &world, 0);
    calls(&proxy, &[proxy.address()], CALLS);
    let state = world.state();
    assert_eq!(state.count("token refresh_token"), 1);
    assert!(state.count("initialize") <= opened + 1, "the links stay; one is for lists");
    assert_eq!(state.count("401"), 0, "nobody was sent with the old one");
}

#[test]
fn two_proxies_on_one_store_make_one_refresh() {
    let world = World::start();
    let first = proxy(&world);
    let mut second = first.setup().command(&["serve", "--listen", "127.0.0.1:0"]);
    let second = Process::start(&mut second);
    let addresses = [first.address(), second.line("where it listens", address_in)];
    push(&first, &world, 3_600);
    for address in addresses {
        until_good(&mut Client::connect(Era::Legacy, address, "/mcp", Some(first.key())));
    }
    for (round, count) in [(1, 100), (2, 500)] {
        push(&first, &world, 0);
        if round == 2 {
            // The second one, which has not seen that yet, is sent away with the token before.
            world.state().access.clear();
        }
        calls(&first, &addresses, count);
        assert_eq!(world.state().count("token refresh_token"), round, "one refresh for both");
    }
    second.stop();
}

/// The authorization server is away for so long: calls fail with the sentence, it is asked at most
/// once a second, and all is well again by itself.
fn away_for(time: Duration, tries: usize) {
    let world = World::start();
    let proxy = proxy(&world);
    push(&proxy, &world, 3_600);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    world.state().mode = Mode::Away;
    push(&proxy, &world, 0);
    let began = Instant::now();
    let mut failures = 0;
    until("it was away for long enough", time + Duration::from_secs(20), || {
        let (failed, said) = call(&mut client);
        assert!(failed && said.contains("cannot be renewed at the moment"), "{said}");
        failures += 1;
        (world.state().token_times.len() >= tries && began.elapsed() >= time).then_some(())
    });
    assert!(failures >= tries);
    {
        let state = world.state();
        let pairs = state.token_times.windows(2);
        // The first of two may have waited for the store before it was sent.
        assert!(
            pairs.clone().all(|pair| pair[1] - pair[0] > Duration::from_millis(800)),
            "{:?}",
            state.token_times
        );
        let most = usize::try_from(began.elapsed().as_secs()).expect("it is small") + 2;
        assert!(state.token_times.len() <= most, "{} of {most}", state.token_times.len());
    }
    let metrics = api(&proxy, OPERATOR, "GET", "/metrics", &Value::Null).text();
    let failed = "mcp_proxy_upstream_login_renewals_total{upstream=\"up\",result=\"failed\"} ";
    let count = metrics.split(failed).nth(1).and_then(|rest| rest.lines().next());
    let count: usize = count.and_then(|text| text.parse().ok()).unwrap_or_default();
    // The last one may just have been asked, and not be counted yet.
    assert!(count + 1 >= tries, "{metrics}");
    assert!(
        metrics.contains("mcp_proxy_upstream_logins{upstream=\"up\",state=\"expired\"} 1"),
        "{metrics}"
    );
    world.state().mode = Mode::Good;
    until_good(&mut client);
    assert_eq!(login_state(&proxy, proxy.key()), "logged-in");
}

#[test]
fn while_the_server_is_away_it_is_asked_once_a_second_and_then_all_is_well() {
    away_for(Duration::ZERO, 3);
}

#[test]
#[ignore = "takes a minute; by hand: cargo test --test outside -- --ignored a_minute"]
fn the_server_may_be_away_for_a_minute() {
    away_for(Duration::from_secs(60), 50);
}

#[test]
fn a_login_that_nobody_uses_is_renewed_in_the_background() {
    let world = World::start();
    let proxy = proxy(&world);
    push(&proxy, &world, 0);
    let setup = proxy.stop();
    assert_eq!(world.state().count("token "), 0, "nobody has called");
    let store = setup.folder().join("mcp-proxy.db");
    let store = rusqlite::Connection::open(store).expect("the store is a SQLite file");
    let aged = store.execute("UPDATE secret SET set_at = 1 WHERE slot = 'oauth.login'", ());
    assert_eq!(aged.expect("it can be written"), 1);
    drop(store);
    let proxy = setup.serve();
    until("it is renewed", Duration::from_secs(60), || {
        (world.state().count("token refresh_token") > 0).then_some(())
    });
    until("it is known", Duration::from_secs(20), || {
        (login_state(&proxy, proxy.key()) == "logged-in").then_some(())
    });
    assert_eq!(world.state().count("token refresh_token"), 1, "once a day is enough");
}

#[test]
fn a_login_that_has_ended_leads_to_the_page_and_back() {
    let world = World::start();
    let proxy = proxy(&world);
    push(&proxy, &world, 3_600);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    {
        let mut state = world.state();
        state.access.clear();
        state.mode = Mode::InvalidGrant;
    }
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login"), "{said}");
    let asked = world.state().count("token refresh_token");
    let (failed, _) = call(&mut client);
    assert!(failed);
    assert_eq!(world.state().count("token refresh_token"), asked, "it is not tried again");
    world.state().mode = Mode::Good;
    Browser::default().log_in(&link(&said), proxy.key());
    until_good(&mut client);
}

#[test]
fn more_scopes_are_asked_for_once_and_not_for_ever() {
    let world = World::start();
    let proxy = proxy(&world);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (_, said) = call(&mut client);
    let mut browser = Browser::default();
    browser.log_in(&link(&said), proxy.key());
    until_good(&mut client);
    world.state().scope = Some("write".to_owned());
    let mut visits = 0;
    let last = loop {
        let (failed, said) = call(&mut client);
        assert!(failed);
        if !said.contains("http://") {
            break said;
        }
        visits += 1;
        assert!(visits < 6, "{said}");
        browser.log_in(&link(&said), proxy.key());
        assert!(world.state().last.contains_key("code_verifier"));
    };
    assert!(last.contains("all that it asks for was granted"), "{last}");
}
