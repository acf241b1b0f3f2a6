//! Where nobody outside may send us: into this machine or its network (security.md T7). Each place
//! where a URL enters that is not of the operator's file, with each spelling of such an address.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::login::bed::{Browser, OPERATOR, api, call, config, link, proxy, push, setup};
use crate::login::server::World;
use crate::support::{Era, Proxy, until};

/// Hosts that are inside, in every spelling; `PORT` is that of a listener that counts.
const HOSTS: [&str; 125] = [
    "127.0.0.1:PORT",
    "127.0.0.2:PORT",
    "127.1:PORT",
    "127.0.1:PORT",
    "0x7f.1:PORT",
    "0x7f000001:PORT",
    "2130706433:PORT",
    "0177.0.0.1:PORT",
    "017700000001:PORT",
    "0x7f.0x0.0x0.0x1:PORT",
    "127.0.0.1.:PORT",
    "localhost:PORT",
    "LOCALHOST:PORT",
    "localhost.:PORT",
    "[::1]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[::127.0.0.1]:PORT",
    "0.0.0.0:PORT",
    "0:PORT",
    "[::]:PORT",
    "127。0。0。1:PORT",
    "127．0．0．1:PORT",
    "１２７.0.0.1:PORT",
    "%31%32%37.0.0.1:PORT",
    "user@127.0.0.1:PORT",
    "user:pass@localhost:PORT",
    "example.com@127.0.0.1:PORT",
    "127.255.255.254:PORT",
    "127.00.00.01:PORT",
    "0x7F.0.0.1:PORT",
    "0X7f000001:PORT",
    "0177.0x0.0.1:PORT",
    "0000.0.0.0:PORT",
    "0x0:PORT",
    "00:PORT",
    "0.1:PORT",
    "[0::1]:PORT",
    "[::0001]:PORT",
    "[::FFFF:127.0.0.1]:PORT",
    "[0:0:0:0:0:ffff:7f00:1]:PORT",
    "[::ffff:0:127.0.0.1]:PORT",
    "[64:ff9b::127.0.0.1]:PORT",
    "[2002:7f00:1::]:PORT",
    "127.0.0.1%2e:PORT",
    "127%2E0%2E0%2E1:PORT",
    "ⓛocalhost:PORT",
    "ｌｏｃａｌｈｏｓｔ:PORT",
    "LocalHost.:PORT",
    ":pass@127.0.0.1:PORT",
    "localhost%00.example.com:PORT",
    "127.0.0.1\\@example.com:PORT",
    "①②⑦.0.0.1:PORT",
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.255.254",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a00:1]",
    "[2001:db8::1]",
    "[fec0::1]",
    "10.1",
    "10.0.1",
    "0xa.1",
    "012.0.0.1",
    "167772161",
    "0xc0a80001",
    "192.168.1",
    "3232235521",
    "169.254.0.1",
    "169.254.169.253",
    "169.254.43518",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fdff::1]",
    "[fc00:ec2::254]",
    "[ff01::1]",
    "[::a9fe:a9fe]",
    "[::ffff:192.168.0.1]",
    "[::ffff:172.16.0.1]",
    "[::ffff:100.64.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::192.168.0.1]",
    "[64:ff9b:1:ffff::1]",
    "[2002:a00:1::1]",
    "[2002:c0a8:1::1]",
    "[2001:0:a9fe:a9fe::]",
    "[2001::1]",
    "[100::1]",
    "[3fff::1]",
    "[5f00::1]",
    "192.88.99.1",
    "198.19.255.255",
    "0.1.2.3",
    "239.255.255.250",
    "172.20.10.1",
    "100.100.100.200",
];

/// As many as security.md asks for.
const _: () = assert!(HOSTS.len() >= 120);
/// Without encryption nothing is asked of a stranger's choice.
const PLAIN: [&str; 3] = ["http://127.0.0.1:PORT", "http://localhost:PORT", "http://10.0.0.1"];

/// What somebody is told whom a URL has sent inside, or who wrote one that is none.
const REFUSALS: [&str; 6] = [
    "nobody from outside may send us",
    "its URL is none that is called",
    "it names no URL",
    "an endpoint is no web address",
    "it is no URL",
    "there is none",
];

/// A proxy to which strangers name places, and what one of them does.
struct Scene {
    world: World,
    proxy: Proxy,
    browser: Browser,
    /// The page of the upstream's login.
    link: String,
    /// How many places were named.
    count: usize,
}

/// Where a URL enters, how its scene differs, and what happens with it; gives what was said where
/// somebody is told.
struct Place {
    name: &'static str,
    more: fn(&World) -> String,
    enter: fn(&mut Scene, &str) -> Option<String>,
}

/// As many upstreams or issuers as there are hosts.
fn each(part: impl Fn(usize) -> String) -> String {
    (1..=HOSTS.len() + PLAIN.len()).map(part).collect()
}

fn nothing(_: &World) -> String {
    String::new()
}

static PLACES: [Place; 8] = [
    Place {
        name: "`resource_metadata` of a challenge",
        more: nothing,
        enter: |scene, url| {
            scene.world.state().resource_metadata = Some(url.to_owned());
            // What is no URL is not there.
            url::Url::parse(url).is_ok().then(|| scene.log_in()).flatten()
        },
    },
    Place {
        name: "`authorization_servers` of an upstream",
        more: nothing,
        enter: |scene, url| {
            scene.world.state().prm = json!({"authorization_servers": [url]});
            scene.log_in()
        },
    },
    Place {
        name: "`registration_endpoint` of an authorization server",
        more: nothing,
        enter: |scene, url| {
            scene.world.state().metadata = json!({"registration_endpoint": url});
            scene.log_in()
        },
    },
    Place {
        name: "`token_endpoint` of an authorization server",
        more: nothing,
        enter: |scene, url| {
            scene.world.state().metadata = json!({"token_endpoint": url});
            let page = scene.browser.press(&scene.link, "log-in", "");
            // One that is no URL at all ends here.
            let Some(away) = page.header("refresh") else { return Some(page.text()) };
            let back = scene.browser.get(away.trim_start_matches("0;url="));
            let page = scene.browser.get(back.header("location").expect("a callback"));
            assert!(page.status >= 400, "{url}: {}", page.text());
            Some(page.text())
        },
    },
    Place {
        name: "`revocation_endpoint` of an authorization server",
        more: nothing,
        enter: |scene, url| {
            scene.world.state().metadata = json!({"revocation_endpoint": url});
            let page = scene.browser.press(&scene.link, "log-in", "");
            let Some(away) = page.header("refresh") else { return Some(page.text()) };
            let back = scene.browser.get(away.trim_start_matches("0;url="));
            let page = scene.browser.get(back.header("location").expect("a callback"));
            assert_eq!(page.status, 200, "{url}: {}", page.text());
            scene.browser.press(&scene.link, "log-out", "");
            // Nobody is told: the tokens are forgotten in any case.
            None
        },
    },
    Place {
        name: "`token_endpoint` of tokens that somebody brings",
        more: |world| {
            each(|at| format!("[upstreams.u{at}]\nurl = \"{}\"\noauth = {{}}\n", world.url()))
        },
        enter: |scene, url| {
            let path = format!("/api/v1/upstreams/u{}", scene.count);
            let body = json!({"access_token": "a", "refresh_token": "r", "expires_in": 0,
                "issuer": "https://as.example.com", "token_endpoint": url, "client_id": "c"});
            let put = format!("{path}/oauth");
            let put = api(&scene.proxy, scene.proxy.key(), "PUT", &put, &body);
            if put.status != 200 {
                assert!(url::Url::parse(url).is_err(), "{url}: {}", put.text());
                return None;
            }
            Some(api(&scene.proxy, scene.proxy.key(), "GET", &path, &Value::Null).text())
        },
    },
    Place {
        name: "`url` of an upstream that is made over the API",
        more: nothing,
        enter: |scene, url| {
            let name = format!("m{}", scene.count);
            let body = json!({"name": name, "url": url, "era": "legacy"});
            let made = api(&scene.proxy, OPERATOR, "POST", "/api/v1/upstreams", &body);
            if made.status != 201 {
                let about = format!("upstreams.{name}.url");
                assert!(made.status == 400 && made.text().contains(&about), "{}", made.text());
                return None;
            }
            let path = format!("/api/v1/upstreams/{name}");
            let shown = api(&scene.proxy, scene.proxy.key(), "GET", &path, &Value::Null).text();
            assert!(shown.contains("leads into this machine"), "{url}: {shown}");
            None
        },
    },
    Place {
        name: "the URL that is a client's id at the connector doors",
        more: nothing,
        enter: |scene, url| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &format!("{url}/client.json"))
                .append_pair("response_type", "code")
                .append_pair("redirect_uri", "http://127.0.0.1:1/callback")
                .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
                .append_pair("code_challenge_method", "S256")
                .finish();
            let place = scene.proxy.url(&format!("/connect/authorize?{query}"));
            let page = scene.browser.get(&place);
            assert_eq!(page.status, 400, "{url}: {}", page.text());
            None
        },
    },
];

impl Scene {
    fn new(more: &str, world: World) -> Self {
        // Nothing allows this upstream's documents to lead into this machine.
        let text = config(&world, "", "").replace("allow_private = true\n", "");
        let secrets = "secrets = { up = { client_secret = { env = \"CLIENT_SECRET\" } } }\n";
        let text = text.replace(secrets, "") + more;
        let proxy = setup(&world, "").config(&text).serve();
        let (_, said) = call(&mut proxy.client(Era::Legacy, "/mcp"));
        let link = link(&said);
        let mut browser = Browser::default();
        browser.press(&link, "sign-in", proxy.key());
        Self { world, proxy, browser, link, count: 0 }
    }

    /// Begins a login; gives what is said of it.
    fn log_in(&mut self) -> Option<String> {
        let page = self.browser.press(&self.link, "log-in", "");
        assert!(page.header("refresh").is_none() && page.status >= 400, "{}", page.text());
        Some(page.text())
    }
}

/// Listens at all addresses of this machine and counts who comes.
fn counter() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let listener = listener.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, met)
}

#[test]
fn no_packet_goes_to_an_address_inside_that_a_stranger_names() {
    let (port, met) = counter();
    assert_eq!(HOSTS.iter().collect::<BTreeSet<_>>().len(), HOSTS.len());
    std::thread::scope(|scope| {
        for place in &PLACES {
            let (port, met) = (&port, &met);
            scope.spawn(move || {
                let world = World::start();
                let mut scene = Scene::new(&(place.more)(&world), world);
                let plain = PLAIN.iter().map(|url| (*url).to_owned());
                let hosts = HOSTS.iter().map(|host| format!("https://{host}")).chain(plain);
                for url in hosts.map(|url| url.replace("PORT", port)) {
                    scene.count += 1;
                    let said = (place.enter)(&mut scene, &url);
                    // Not every machine knows itself by this name with a dot.
                    let dot = url.to_lowercase().contains("localhost.:");
                    let told = |said: &String| {
                        REFUSALS.iter().any(|words| said.contains(words))
                            || (dot && said.contains("it could not be reached"))
                    };
                    let what = format!("{}, {url}", place.name);
                    assert!(said.as_ref().is_none_or(told), "{what}: {said:?}");
                    // What was looked up is nobody's business.
                    assert!(!said.unwrap_or_default().contains("169.254.169"), "{what}");
                    assert_eq!(met.load(Ordering::SeqCst), 0, "{what}: somebody has connected");
                }
            });
        }
    });
}

#[test]
fn no_packet_goes_to_where_an_issuer_s_document_says_that_its_keys_are() {
    let (port, met) = counter();
    let world = World::start();
    let issuers = each(|at| {
        format!(
            "[[auth.issuers]]\nissuer = \"{}/i{at}\"\naudience = \"us\"\nalgorithms = [\"RS256\"]\n\
             rules = [{{ claim = \"org\", value = \"x\", tenant = \"test\" }}]\n",
            world.issuer_url()
        )
    });
    let scene = Scene::new(&issuers, world);
    for (at, host) in (1..).zip(HOSTS) {
        let url = format!("https://{}/keys", host.replace("PORT", &port));
        scene.world.state().key_places.insert(format!("i{at}"), url.clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!(
            "{}.{}.{}",
            part(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"})),
            part(&json!({"iss": format!("{}/i{at}", scene.world.issuer_url()), "aud": "us",
                "sub": "s", "org": "x", "exp": 4_000_000_000_u64, "iat": 1})),
            URL_SAFE_NO_PAD.encode([7; 256])
        );
        let refused = api(&scene.proxy, &token, "GET", "/api/v1/me", &Value::Null);
        assert_eq!(refused.status, 401, "{url}: {}", refused.text());
    }
    assert_eq!(scene.world.state().count("issuer"), HOSTS.len(), "each was looked at");
    assert_eq!(met.load(Ordering::SeqCst), 0, "somebody has connected");
}

#[test]
fn no_redirect_is_followed_anywhere() {
    let (port, met) = counter();
    let world = World::start();
    // Everything on this machine may be asked; it is the redirect that nobody follows.
    let proxy = proxy(&world);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (_, said) = call(&mut client);
    let mut browser = Browser::default();
    browser.press(&link(&said), "sign-in", proxy.key());
    let up = proxy.url("/connect/upstreams/up");
    let redirected = |path: &'static str, act: &mut dyn FnMut()| {
        for to in [format!("http://127.0.0.1:{port}/"), format!("http://localhost:{port}/x?y")] {
            world.state().asked.clear();
            world.state().redirect = Some((path, to));
            act();
            assert!(world.state().count("redirected") > 0, "{path} was not asked");
        }
        world.state().redirect = None;
        assert_eq!(met.load(Ordering::SeqCst), 0, "{path}: somebody has connected");
    };
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server",
        "/register",
    ] {
        redirected(path, &mut || {
            let page = browser.press(&up, "log-in", "");
            assert!(page.header("refresh").is_none() && page.status >= 400, "{}", page.text());
        });
    }
    redirected("/token", &mut || {
        let back = browser.begin(&up, proxy.key());
        let page = browser.get(&back);
        assert!(page.status >= 400, "{}", page.text());
    });
    redirected("/revoke", &mut || {
        let at = world.state().redirect.take();
        browser.log_in(&up, proxy.key());
        world.state().redirect = at;
        browser.press(&up, "log-out", "");
    });
    push(&proxy, &world, 3_600);
    redirected("/mcp", &mut || {
        // An upstream that has just failed is not asked at once again.
        until("the call fails where it leads elsewhere", Duration::from_secs(20), || {
            let failed = call(&mut client).0;
            (failed && world.state().count("redirected") > 0).then_some(())
        });
    });
    redirected("/token", &mut || {
        push(&proxy, &world, 0);
        // A try that has just failed is not made again within a second.
        until("it was asked", Duration::from_secs(20), || {
            assert!(call(&mut client).0);
            (world.state().count("redirected") > 0).then_some(())
        });
    });
}
