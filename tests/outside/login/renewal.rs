//! Before the end, on 401, while nobody answers.

use std::time::{Duration, Instant};

use crate::login::bed::{Browser, call, link, login_state, proxy, push, until_good};
use crate::login::server::{Mode, World};
use crate::support::{Era, until};

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
    crate::support::raise_open_files();
    let good: usize = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = proxy.client(Era::Modern, "/mcp");
                    let (failed, said) = call(&mut client);
                    assert!(!failed, "{said}");
                })
            })
            .collect();
        calls.into_iter().filter_map(|call| call.join().ok()).count()
    });
    assert_eq!(good, CALLS);
    let state = world.state();
    assert_eq!(state.count("token refresh_token"), 1);
    assert!(state.count("initialize") <= opened + 1, "the links stay; one is for lists");
    assert_eq!(state.count("401"), 0, "nobody was sent with the old one");
}

#[test]
fn while_the_server_is_away_it_is_asked_once_a_second_and_then_all_is_well() {
    let world = World::start();
    let proxy = proxy(&world);
    push(&proxy, &world, 3_600);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    world.state().mode = Mode::Away;
    push(&proxy, &world, 0);
    let began = Instant::now();
    let mut failures = 0;
    until("three tries", Duration::from_secs(20), || {
        let (failed, said) = call(&mut client);
        assert!(failed && said.contains("cannot be renewed at the moment"), "{said}");
        failures += 1;
        (world.state().token_times.len() >= 3).then_some(())
    });
    assert!(failures >= 3);
    {
        let state = world.state();
        let pairs = state.token_times.windows(2);
        // The first of two may have waited for the store before it was sent.
        assert!(
            pairs.clone().all(|pair| pair[1] - pair[0] > Duration::from_millis(800)),
            "{:?}",
            state.token_times
        );
        assert!(state.token_times.len() <= began.elapsed().as_secs() as usize + 2);
    }
    world.state().mode = Mode::Good;
    until_good(&mut client);
    assert_eq!(login_state(&proxy, proxy.key()), "logged-in");
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
