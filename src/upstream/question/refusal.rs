//! Questions that an upstream asks the client (legacy era), and the answer when nobody can be
//! asked: never silence (R70), always the protocol's own words (protocol.md 3.2).

use bytes::Bytes;

/// The answer to a question that is not passed on. `id` is the question's id as it stands.
#[must_use]
pub fn refusal(method: &str, id: &str) -> Bytes {
    let answer = match method {
        "ping" => "\"result\":{}".to_owned(),
        "elicitation/create" => "\"result\":{\"action\":\"cancel\"}".to_owned(),
        "sampling/createMessage" => error(-1, "User rejected sampling request"),
        "roots/list" => error(-32601, "Roots not supported"),
        _ => error(-32601, "Method not found"),
    };
    Bytes::from(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{answer}}}"))
}

fn error(code: i32, message: &str) -> String {
    format!("\"error\":{{\"code\":{code},\"message\":\"{message}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_gets_json() {
        for method in ["ping", "elicitation/create", "sampling/createMessage", "roots/list", "x"] {
            let answer: serde_json::Value =
                serde_json::from_slice(&refusal(method, "\"q\"")).unwrap();
            assert_eq!(answer["id"], "q");
            assert!(answer.get("result").is_some() != answer.get("error").is_some());
        }
    }
}
