//! What goes through the proxy is what was sent: requests and answers with everything that a
//! careless reader loses, in each pair of eras, over HTTP and over pipes.

mod cell;
mod corpus;
mod lists;
mod outside;
mod tokens;
mod values;

use crate::support::Era;
use cell::World;
use corpus::Place;
use outside::Crossing;

/// So many differences are shown; they are often one and the same.
const SHOWN: usize = 12;

#[test]
fn what_a_client_and_an_upstream_say_passes_as_it_was_written() {
    let cases = corpus::cases();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let mut files = vec![
        ("tools.json".to_owned(), r#"{"name":"exact","inputSchema":{"type":"object"}}"#.to_owned()),
        ("prompts.json".to_owned(), r#"{"name":"exact"}"#.to_owned()),
        ("resources.json".to_owned(), r#"{"uri":"file:///exact","name":"exact"}"#.to_owned()),
    ];
    for case in &cases {
        files.push((format!("{}.out", case.name), case.answer.join("\n---\n")));
        if case.stream {
            files.push((format!("{}.sse", case.name), String::new()));
        }
    }
    let world = World::new(&files);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for era in Era::BOTH {
        let mut direct = world.direct(era);
        let mut clients: Vec<_> = world
            .upstreams
            .iter()
            .map(|upstream| world.client(era, &format!("/mcp/{}", upstream.name)))
            .collect();
        for case in &cases {
            let body = direct.body(case);
            let expected = direct.send(case, &body);
            for (upstream, client) in world.upstreams.iter().zip(&mut clients) {
                let crossing =
                    Crossing { client: era, upstream: upstream.era, pipe: upstream.stdio };
                let meant = match case.place {
                    Place::Anywhere => true,
                    Place::SameEra => !crossing.crosses(),
                    Place::Legacy => !crossing.crosses() && era == Era::Legacy,
                };
                if !meant {
                    continue;
                }
                let answer = client.send(case, &body);
                let mut problems = crossing.answers(&expected, &answer);
                match World::got(upstream, &case.name) {
                    Some(got) => problems.extend(crossing.request(&body, &got)),
                    None => problems.push("nothing arrived at the upstream".to_owned()),
                }
                compared += 1;
                wrong.extend(problems.iter().map(|problem| {
                    format!("{} from {era:?} to {}: {problem}", case.name, upstream.name)
                }));
            }
        }
    }
    crate::support::say(&format!(
        "{} cases, {compared} of them compared with the direct answer in 8 cells, {} differ",
        cases.len(),
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong[..wrong.len().min(SHOWN)].join("\n\n"));
}
