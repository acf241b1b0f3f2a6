//! The kinds of questions: what a tool of the servers asks, what the person says, what comes of it.

use serde_json::{Value, json};

/// One kind.
pub(crate) struct Kind {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// The tool that asks it.
    pub(crate) tool: &'static str,
    /// What the person says to each method, with the tag of the call.
    pub(crate) say: fn(&str) -> Value,
    /// What is asked, in order: the method, and what must be found at these places of its params.
    asked: fn(&Case<'_>) -> Vec<(&'static str, Found)>,
    /// What the answer of the tool must hold at these places.
    told: fn(&str) -> Found,
    /// True where the order of the questions is the client's own.
    together: bool,
    /// Progress before the first question.
    progress: usize,
}

/// Places as JSON pointers, and what is there.
type Found = Vec<(&'static str, Value)>;

/// One call.
pub(crate) struct Case<'a> {
    /// The upstream as the file names it.
    pub(crate) upstream: &'a str,
    /// What tells this call from all others.
    pub(crate) tag: &'a str,
}

/// All of them, in the order of the columns.
pub(crate) const KINDS: &[Kind] = &[
    Kind { told: |tag| vec![("/action", json!("accept")), ("/content/name", json!(tag))], ..FORM },
    Kind {
        name: "form declined",
        say: |_| json!({"elicitation/create": {"action": "decline"}}),
        told: |_| vec![("/action", json!("decline")), ("/content", Value::Null)],
        ..FORM
    },
    Kind {
        name: "form cancelled",
        say: |_| json!({"elicitation/create": {"action": "cancel"}}),
        told: |_| vec![("/action", json!("cancel")), ("/content", Value::Null)],
        ..FORM
    },
    Kind {
        name: "URL",
        tool: "ask_url",
        say: |_| json!({"elicitation/create": {"action": "accept"}}),
        asked: |case| {
            let url = format!("https://example.com/sign-in?{}", case.tag);
            vec![(
                "elicitation/create",
                vec![
                    ("/mode", json!("url")),
                    ("/message", case.message("Sign in")),
                    ("/url", json!(url)),
                ],
            )]
        },
        told: |_| vec![("/action", json!("accept")), ("/content", Value::Null)],
        ..FORM
    },
    Kind {
        name: "sampling",
        tool: "sample",
        say: |tag| json!({"sampling/createMessage": said(tag)}),
        asked: |case| vec![sampling(case)],
        told: |tag| {
            vec![
                ("/content/text", json!(tag)),
                ("/stopReason", json!("endTurn")),
                ("/model", json!("m")),
            ]
        },
        ..FORM
    },
    Kind {
        name: "sampling with tools",
        tool: "sample_with_tools",
        say: |tag| {
            let used = json!([{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": tag}}]);
            json!({"sampling/createMessage":
                {"role": "assistant", "model": "m", "stopReason": "toolUse", "content": used}})
        },
        asked: |case| {
            let (method, mut found) = sampling(case);
            // A tool of the model is none of the proxy's: its name stays as it is.
            found.push(("/tools/0/name", json!("weather")));
            found.push(("/tools/0/description", json!(case.tag)));
            found.push(("/toolChoice/mode", json!("auto")));
            vec![(method, found)]
        },
        told: |tag| {
            vec![
                ("/content/0/type", json!("tool_use")),
                ("/content/0/name", json!("weather")),
                ("/content/0/input/city", json!(tag)),
                ("/stopReason", json!("toolUse")),
            ]
        },
        ..FORM
    },
    Kind {
        name: "roots",
        tool: "roots",
        say: |tag| json!({"roots/list": {"roots": [{"uri": root(tag), "name": "home"}]}}),
        asked: |_| vec![("roots/list", vec![])],
        told: |tag| vec![("/roots/0/uri", json!(root(tag))), ("/roots/1", Value::Null)],
        ..FORM
    },
    Kind {
        name: "two at once",
        tool: "two_questions",
        say: |tag| json!({"elicitation/create": accepted(tag), "sampling/createMessage": said(tag)}),
        asked: |case| vec![form(case, "Who are you?"), sampling(case)],
        told: |tag| vec![("/who/content/name", json!(tag)), ("/said/content/text", json!(tag))],
        together: true,
        ..FORM
    },
    Kind {
        name: "two in turn",
        tool: "two_rounds",
        asked: |case| {
            let again = format!("[{}] Who are you? {} again", case.upstream, case.tag);
            vec![
                form(case, "Who are you?"),
                ("elicitation/create", vec![("/message", json!(again))]),
            ]
        },
        told: |tag| vec![("/first/content/name", json!(tag)), ("/second/content/name", json!(tag))],
        ..FORM
    },
    Kind { name: "after progress", tool: "after_progress", progress: 3, ..FORM },
];

const FORM: Kind = Kind {
    name: "form accepted",
    tool: "ask_form",
    say: |tag| json!({"elicitation/create": accepted(tag)}),
    asked: |case| vec![form(case, "Who are you?")],
    told: |tag| vec![("/content/name", json!(tag))],
    together: false,
    progress: 0,
};

/// What a person says who fills in the form.
pub(crate) fn accepted(tag: &str) -> Value {
    json!({"action": "accept", "content": {"name": tag}})
}

fn said(tag: &str) -> Value {
    json!({"role": "assistant", "model": "m", "stopReason": "endTurn",
        "content": {"type": "text", "text": tag}})
}

fn root(tag: &str) -> String {
    format!("file:///home/{tag}")
}

fn form(case: &Case<'_>, message: &str) -> (&'static str, Found) {
    let found = vec![
        ("/message", case.message(message)),
        ("/requestedSchema/properties/name/type", json!("string")),
        ("/requestedSchema/required", json!(["name"])),
    ];
    ("elicitation/create", found)
}

fn sampling(case: &Case<'_>) -> (&'static str, Found) {
    let text = json!(format!("Say hello {}", case.tag));
    let found = vec![("/messages/0/content/text", text), ("/maxTokens", json!(50))];
    ("sampling/createMessage", found)
}

impl Case<'_> {
    fn message(&self, message: &str) -> Value {
        json!(format!("[{}] {message} {}", self.upstream, self.tag))
    }
}

impl Kind {
    /// The step of a plan with which a client is asked this; `tool` is the name that it knows.
    pub(crate) fn step(&self, tool: &str, tag: &str) -> Value {
        json!({"call": tool, "arguments": {"tag": tag}, "say": (self.say)(tag)})
    }

    /// What is wrong with the outcome of such a step.
    pub(crate) fn wrong(&self, case: &Case<'_>, outcome: &Value) -> Option<String> {
        if outcome["ok"] != true {
            return Some(format!("failed: {outcome}"));
        }
        let expected = (self.asked)(case);
        let mut asked = outcome["asked"].as_array().cloned().unwrap_or_default();
        if asked.len() != expected.len() {
            return Some(format!("asked {} times: {outcome}", asked.len()));
        }
        if self.together {
            asked.sort_by_key(|one| one["method"].as_str().map(str::to_owned));
        }
        for (question, (method, found)) in asked.iter().zip(&expected) {
            if question["method"] != *method {
                return Some(format!("asked {question}, and not {method}"));
            }
            if let Some(wrong) = differs(&question["params"], found) {
                return Some(format!("asked {question}: {wrong}"));
            }
        }
        let counted: Vec<Value> = (1..=self.progress).map(|step| json!(step)).collect();
        let progress = outcome["progress"].as_array().cloned().unwrap_or_default();
        let progress: Vec<Value> =
            progress.iter().map(|step| json!(step.as_f64().map(|s| s as u64))).collect();
        if !progress.starts_with(&counted)
            || asked[0]["after"].as_u64() < Some(self.progress as u64)
        {
            return Some(format!("progress {progress:?}, a question after {}", asked[0]["after"]));
        }
        let text = outcome["result"]["content"][0]["text"].as_str().unwrap_or_default();
        let Ok(told) = serde_json::from_str::<Value>(text) else {
            return Some(format!("told {:.300}", outcome["result"]));
        };
        differs(&told, &(self.told)(case.tag)).map(|wrong| format!("told {told}: {wrong}"))
    }
}

fn differs(value: &Value, found: &Found) -> Option<String> {
    let wrong = found
        .iter()
        .find(|(place, expected)| value.pointer(place).unwrap_or(&Value::Null) != expected);
    wrong.map(|(place, expected)| format!("{place} is not {expected}"))
}
