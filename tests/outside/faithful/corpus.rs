//! The requests and the results: each with something that a proxy has no business to change.

use super::values::{deep, values};

/// One request, and what the upstream answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    /// Letters, digits and dashes.
    pub(crate) name: String,
    /// The method.
    pub(crate) method: &'static str,
    /// What it names, for the header of the modern era.
    pub(crate) named: Option<&'static str>,
    /// The request. `@META@` is where the members of the modern era go within `_meta`, and
    /// `@OWN@` where a `_meta` of them alone goes.
    pub(crate) request: String,
    /// The messages of the answer, with `@ID@` and `@TOKEN@`.
    pub(crate) answer: Vec<String>,
    /// The upstream answers with a stream even if it has nothing to say before.
    pub(crate) stream: bool,
    /// Where it means something.
    pub(crate) place: Place,
}

/// In which pairs of eras a case means something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// In all of them.
    #[default]
    Anywhere,
    /// Where both speak the same era.
    SameEra,
    /// Where both speak the legacy era.
    Legacy,
}

/// The plain ending of every `tools/call` here.
const TAIL: &str = r#""name":"exact""#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[]}}"#;
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

fn call(name: String, request: String, answer: String) -> Case {
    let answer = vec![answer];
    let (method, named) = ("tools/call", Some("exact"));
    Case { name, method, named, request, answer, stream: false, place: Place::Anywhere }
}

/// A call with these members of `params`, the first ones; ends with a comma or is empty.
fn params(id: &str, members: &str, case: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{members}@OWN@"x-case":"{case}",{TAIL}}}}}"#
    )
}

fn result(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":@ID@,"result":{{{members}}}}}"#)
}

/// Each value in each place.
fn placed(cases: &mut Vec<Case>) {
    for (number, value) in values().iter().enumerate() {
        let id = (number + 1).to_string();
        let name = |place: &str| format!("{place}-{number}");
        let of = |place: &str, members: String, answer: String| {
            call(name(place), params(&id, &members, &name(place)), answer)
        };
        cases.push(of(
            "argument",
            format!(r#""arguments":{{"v":{value},"\u0076\u0032":[{value}]}},"#),
            result(&format!(r#""content":[],"structuredContent":{{"v":{value}}},"isError":false"#)),
        ));
        cases.push(of(
            "param",
            format!(r#""x-before":{value},"arguments":{{}},"x-after":{value},"#),
            result(&format!(r#""x-before":{value},"content":[],"x-after":{value}"#)),
        ));
        cases.push(of(
            "block",
            format!(r#""arguments":{{"":{value}}},"#),
            result(&format!(
                r#""resultType":"complete","content":[{{"type":"text","text":"","x":{value},"annotations":{{"priority":1.0,"x":{value}}},"_meta":{{"a":{value}}}}},{{"type":"unknown","v":{value}}}]"#
            )),
        ));
        let meta = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"vendor/a":{value},@META@"vendor/b":{value}}},"x-case":"{}",{TAIL}}}}}"#,
            name("meta")
        );
        cases.push(call(
            name("meta"),
            meta,
            result(&format!(r#""content":[],"_meta":{{"vendor/a":{value},"":{value}}}"#)),
        ));
        let envelope = format!(
            r#"{{"x-first":{value},"params":{{@OWN@"x-case":"{}",{TAIL}}},"id":{id},"x-last":{value},"method":"tools/call","jsonrpc":"2.0"}}"#,
            name("envelope")
        );
        cases.push(call(
            name("envelope"),
            envelope,
            format!(
                r#"{{"x-first":{value},"result":{{"content":[]}},"x-last":{value},"id":@ID@,"jsonrpc":"2.0"}}"#
            ),
        ));
        cases.push(of(
            "error",
            format!(r#""arguments":{{"e":{value}}},"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":@ID@,"error":{{"x":{value},"code":-32602,"message":"\u006eo","data":{{"v":{value}}}}}}}"#
            ),
        ));
    }
}

/// Ids and progress tokens, which come back as they were written.
fn marked(cases: &mut Vec<Case>) {
    let ids = [
        "0",
        "-1",
        "9007199254740993",
        "123456789012345678901234567890",
        r#""""#,
        r#""1""#,
        r#""\u0041\/é\"\\""#,
        r#""😀 \ud83d\ude00""#,
        r#""data: \n\n""#,
    ];
    for (number, id) in ids.iter().enumerate() {
        let name = format!("id-{number}");
        let request = params(id, "", &name);
        cases.push(call(name, request, DONE.to_owned()));
        let name = format!("token-{number}");
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"a":1.0,@META@"progressToken" : {id} ,"b":2.0}},"x-case":"{name}",{TAIL}}}}}"#
        );
        let mut case = call(name, request, DONE.to_owned());
        case.answer.splice(0..0, [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":@TOKEN@,"progress":1,"x":-0}}"#.to_owned(),
            r#"{"method":"notifications/progress","params":{"x":{"progressToken":7},"progress":1.50,"total":1e2,"message":"\u0068alf é","progressToken": @TOKEN@},"jsonrpc":"2.0","y":null}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":18446744073709551616,"progressToken":@TOKEN@,"_meta":{"v":1.0}}}"#.to_owned(),
        ]);
        cases.push(case);
    }
}

/// Content of every type, and messages that are not the answer.
fn contents(cases: &mut Vec<Case>) {
    let blocks = [
        r#"{"text":"\u0041\/","type":"text"}"#.to_owned(),
        format!(r#"{{"type":"image","mimeType":"image/png","data":"{PIXEL}"}}"#),
        r#"{"type":"audio","data":"UklGRiQA\/w==","mimeType":"audio/wav","x":1.0}"#.to_owned(),
        r#"{"type":"resource","resource":{"uri":"file:///a","text":"","mimeType":"text/plain"}}"#.to_owned(),
        r#"{"type":"resource","resource":{"uri":"a:\u0062","blob":"AA==","_meta":{"x":1E2}}}"#.to_owned(),
        r#"{"type":"resource_link","uri":"https:\/\/example.com\/","name":"n","size":9007199254740993}"#.to_owned(),
        r#"{"type":"text","text":"x","annotations":{"audience":["user"],"priority":0.10,"lastModified":"x"}}"#.to_owned(),
        r#"{"type":"tool_use","id":"t","name":"up__x","input":{"uri":"file:///a"}}"#.to_owned(),
        r#"{"type":"brand_new","payload":[1.0,{"\u0061":null}]}"#.to_owned(),
    ];
    for (number, block) in blocks.iter().enumerate() {
        let name = format!("content-{number}");
        let answer = result(&format!(
            r#""isError":true,"content":[{block},{block}],"resultType":"complete""#
        ));
        cases.push(call(name.clone(), params("1", "", &name), answer.clone()));
        let name = format!("stream-{number}");
        let mut case = call(name.clone(), params("1", "", &name), answer);
        case.answer.insert(
            0,
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{block},"level":"error","x":1.0,"logger":"\u0041"}}}}"#),
        );
        case.stream = true;
        cases.push(case);
        let get = |name: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{{"x":1.0,"arguments":{{"a":"\u0041","\/":""}},@OWN@"x-case":"{name}","name":"exact"}}}}"#
            )
        };
        let name = format!("prompt-{number}");
        let request = get(&name);
        let mut case = call(
            name,
            request,
            result(&format!(
                r#""messages":[{{"role":"user","content":{block},"x":1e2}}],"description":null"#
            )),
        );
        case.method = "prompts/get";
        cases.push(case);
    }
    let mut other = call("other".into(), params("1", "", "other"), DONE.to_owned());
    other.place = Place::SameEra;
    other.answer.insert(
        0,
        r#"{"jsonrpc":"2.0","method":"notifications/x-new","params":{"a":1.0,"progressToken":5}}"#
            .into(),
    );
    cases.push(other);
    // A word of 2026-07-28, and in the revisions before it just a member that nobody knows.
    let answer = result(r#""content":[],"resultType":"\u0041ny","ttlMs":"x","cacheScope":null"#);
    let mut unknown = call("hints".into(), params("1", "", "hints"), answer);
    unknown.place = Place::Legacy;
    cases.push(unknown);
}

/// Resources and completion.
fn others(cases: &mut Vec<Case>) {
    let contents = [
        r#"{"uri":"file:///exact","text":"\u0041\/ é"}"#,
        r#"{"text":"","uri":"file:\/\/\/exact","mimeType":null,"x":1.0}"#,
        r#"{"uri":"file:///exact","blob":"","_meta":{"ui":{"csp":{"connectDomains":[]}},"x":-0}}"#,
    ];
    for (number, content) in contents.iter().enumerate() {
        for (kind, hints) in [
            ("bare", ""),
            ("hints", r#","ttlMs":5e3,"cacheScope":"private","resultType":"complete""#),
            ("public", r#","cacheScope":"public","ttlMs":0"#),
        ] {
            let name = format!("read-{kind}-{number}");
            let request = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{@OWN@"x-case":"{name}","x":1.0,"uri":"file:///exact"}}}}"#
            );
            let answer = result(&format!(r#""contents":[{content}]{hints}"#));
            let mut case = call(name, request, answer);
            (case.method, case.named) = ("resources/read", Some("file:///exact"));
            cases.push(case);
        }
    }
    for (number, reference) in [
        r#"{"type":"ref/prompt","name":"exact","title":"\u0041","x":1.0}"#,
        r#"{"x":null,"uri":"file:\/\/\/exact","type":"ref/resource"}"#,
    ]
    .iter()
    .enumerate()
    {
        let name = format!("complete-{number}");
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"argument":{{"value":"\u0041","name":"a","x":1e2}},"ref":{reference},"context":{{"arguments":{{"b":""}}}},@OWN@"x-case":"{name}"}}}}"#
        );
        let answer = result(
            r#""completion":{"hasMore":false,"values":["\u0041","\/",""],"total":2.0,"x":null},"y":[]"#,
        );
        let mut case = call(name, request, answer);
        (case.method, case.named) = ("completion/complete", None);
        cases.push(case);
    }
}

/// Ways of writing the envelope.
fn written(cases: &mut Vec<Case>) {
    let requests = [
        r#"{"\u006asonrpc":"2.0","i\u0064":1,"meth\u006fd":"tools\/call","p\u0061rams":{@OWN@"x-case":"NAME","\u006eame":"exact"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{@OWN@"x-case":"NAME","name":"ex\u0061ct"}}"#,
        "{ \"jsonrpc\" : \"2.0\" ,\t\"id\" : 1 , \"method\" : \"tools/call\" , \"params\" : { @OWN@ \"x-case\":\"NAME\" , \"name\" : \"exact\" } } ",
        "\n{\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1,\n  \"method\": \"tools/call\",\n  \"params\": {\n    @OWN@\n    \"x-case\":\"NAME\",\n    \"name\": \"exact\",\n    \"arguments\": {\n    }\n  }\n}\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{@META@"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b,\u0063=d"},"x-case":"NAME","name":"exact"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_m\u0065ta":{@META@"":1},"x-case":"NAME","name":"exact"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{@OWN@"x-case":"NAME","name":"exact","arguments":null}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{@OWN@"x-case":"NAME","name":"exact","arguments":{"a":1,"a":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"exact","arguments":{"name":"other"},"x-case":"NAME",@OWN@"title":"name"}}"#,
    ];
    let answers = [
        r#"{"j\u0073onrpc":"2.0","\u0069d":@ID@,"r\u0065sult":{"c\u006fntent":[],"x":1.0}}"#,
        r#"{"result":{"content":[]},"id":@ID@,"jsonrpc":"2.0"}"#,
        "{ \"id\" : @ID@ , \"result\" : { \"content\" : [ ] } , \"jsonrpc\" : \"2.0\" }",
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{ }}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"error":null,"result":{"content":null}}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"a","text":"b"}],"x":{"id":1,"id":2}}}"#,
        r#"{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32603,"message":""}}"#,
        r#"{"error":{"message":"\u0041","code":17,"data":null},"jsonrpc":"2.0","id":@ID@}"#,
    ];
    for (number, (request, answer)) in requests.iter().zip(answers).enumerate() {
        let name = format!("written-{number}");
        let request = request.replace("NAME", &name);
        cases.push(call(name, request, answer.to_owned()));
    }
}

/// As large and as deep as it may be.
fn large(cases: &mut Vec<Case>) {
    let text = r"five megabytes, \u0041 é 日本 \ud83d\ude00 \/ ".repeat((5 << 20) / 48);
    let sent = params("1", &format!(r#""arguments":{{"text":"{text}"}},"#), "large-request");
    cases.push(call("large-request".into(), sent, DONE.to_owned()));
    for (name, stream) in [("large-result", false), ("large-stream", true)] {
        let answer = result(&format!(r#""content":[{{"type":"text","text":"{text}"}}]"#));
        let mut case = call(name.into(), params("1", "", name), answer);
        case.stream = stream;
        cases.push(case);
    }
    for depth in [100, 124] {
        let name = format!("deep-{depth}");
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let answer = result(&format!(
            r#""content":[],"structuredContent":{{"lists":{lists},"schema":{}}}"#,
            deep(depth)
        ));
        cases.push(call(name.clone(), params("1", "", &name), answer));
    }
}

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    placed(&mut cases);
    marked(&mut cases);
    contents(&mut cases);
    others(&mut cases);
    written(&mut cases);
    large(&mut cases);
    cases
}
