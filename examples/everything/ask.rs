//! Questions to the client, put in the way of its era: as requests of the
//! server in a session, as an input-required result in 2026-07-28.

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{
        ClientCapabilities, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest,
        ElicitRequestParams, InputRequest, InputRequests, InputRequiredResult, InputResponses,
        JsonObject, ListRootsRequest, ProtocolVersion, RequestStateCodec, SamplingMessage,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The key that seals request states. It guards nothing: every process of
/// this test server may know what the states of another hold.
const SEAL: &[u8] = b"everything: a fixed key, for tests of proxies only";

/// One question to the client.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// A form for the user: message, properties, and the required ones.
    Form(String, Value, Value),
    /// A prompt for the client's model.
    Model(String),
    /// The client's roots.
    Roots,
}

impl Question {
    /// A form with one required field.
    pub(crate) fn field(message: &str, name: &str, kind: &str) -> Self {
        Self::Form(message.to_owned(), json!({name: {"type": kind}}), json!([name]))
    }

    /// Whether a client with these capabilities can answer.
    pub(crate) fn suits(&self, client: &ClientCapabilities) -> bool {
        match self {
            Self::Form(..) => client.elicitation.is_some(),
            Self::Model(_) => client.sampling.is_some(),
            Self::Roots => client.roots.is_some(),
        }
    }

    fn form(&self) -> Result<ElicitRequestParams, ErrorData> {
        let Self::Form(message, properties, required) = self else {
            return Err(ErrorData::internal_error("not a form", None));
        };
        let mut schema = json!({"type": "object", "properties": properties});
        if required.as_array().is_some_and(|names| !names.is_empty()) {
            schema["required"] = required.clone();
        }
        Ok(ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: message.clone(),
            requested_schema: serde_json::from_value(schema)
                .map_err(|error| ErrorData::internal_error(error.to_string(), None))?,
        })
    }

    /// The question as an entry of an input-required result.
    pub(crate) fn entry(&self) -> Result<InputRequest, ErrorData> {
        Ok(match self {
            Self::Form(..) => InputRequest::Elicitation(ElicitRequest::new(self.form()?)),
            Self::Model(prompt) => {
                InputRequest::CreateMessage(CreateMessageRequest::new(sampling(prompt)))
            }
            Self::Roots => InputRequest::ListRoots(ListRootsRequest::default()),
        })
    }

    async fn put(&self, peer: &Peer<RoleServer>) -> Result<Value, String> {
        let answer = match self {
            Self::Form(..) => {
                let form = self.form().map_err(|error| error.message.to_string())?;
                peer.create_elicitation(form).await.map(serde_json::to_value)
            }
            Self::Model(prompt) => {
                peer.create_message(sampling(prompt)).await.map(serde_json::to_value)
            }
            Self::Roots => peer.list_roots().await.map(serde_json::to_value),
        };
        answer.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

fn sampling(prompt: &str) -> CreateMessageRequestParams {
    CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100)
}

/// Rounds of questions; a round is put when all before it are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// The questions of each round by the key under which the answer comes.
    pub(crate) rounds: Vec<Vec<(&'static str, Question)>>,
    /// Whether answers are carried in a sealed request state.
    pub(crate) stateful: bool,
}

/// What came of a script.
pub(crate) enum Outcome {
    /// Every question is answered.
    Answers(JsonObject),
    /// The client has to come back with answers.
    Again(InputRequiredResult),
    /// The client refused a question or failed to answer it.
    Failed(String),
}

/// True when the request is one of 2026-07-28, which has no requests of the server.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

impl Script {
    /// One round with one question.
    pub(crate) fn one(key: &'static str, question: Question) -> Self {
        Self { rounds: vec![vec![(key, question)]], stateful: false }
    }

    /// Puts the questions, or takes the answers that the request brings.
    ///
    /// # Errors
    ///
    /// Invalid params when the request brings a state that is not whole.
    pub(crate) async fn run(
        &self,
        context: &RequestContext<RoleServer>,
        responses: Option<&InputResponses>,
        state: Option<&str>,
    ) -> Result<Outcome, ErrorData> {
        if is_modern(context) {
            self.advance(responses, state)
        } else {
            Ok(self.put_all(&context.peer).await)
        }
    }

    async fn put_all(&self, peer: &Peer<RoleServer>) -> Outcome {
        let mut answers = JsonObject::new();
        for round in &self.rounds {
            // All questions of a round are put before one is answered.
            let mut asked = JoinSet::new();
            for (key, question) in round.clone() {
                let peer = peer.clone();
                asked.spawn(async move { (key, question.put(&peer).await) });
            }
            while let Some(put) = asked.join_next().await {
                match put {
                    Ok((key, Ok(answer))) => answers.insert(key.to_owned(), answer),
                    Ok((_, Err(reason))) => return Outcome::Failed(reason),
                    Err(error) => return Outcome::Failed(error.to_string()),
                };
            }
        }
        Outcome::Answers(answers)
    }

    fn advance(
        &self,
        responses: Option<&InputResponses>,
        state: Option<&str>,
    ) -> Result<Outcome, ErrorData> {
        let codec = RequestStateCodec::new_unchecked(SEAL);
        let mut answers: JsonObject = match state {
            Some(sealed) if self.stateful => codec.open_json(sealed).map_err(|_| {
                ErrorData::invalid_params("requestState is not what this server gave", None)
            })?,
            _ => JsonObject::new(),
        };
        for (key, answer) in responses.into_iter().flatten() {
            let asked = self.rounds.iter().flatten().any(|(asked, _)| asked == key);
            // An answer that is not an object counts as missing and is asked again.
            if asked && answer.is_object() {
                answers.insert(key.clone(), answer.clone());
            }
        }
        for round in &self.rounds {
            let open: InputRequests = round
                .iter()
                .filter(|(key, _)| !answers.contains_key(*key))
                .map(|(key, question)| Ok(((*key).to_owned(), question.entry()?)))
                .collect::<Result<_, ErrorData>>()?;
            if !open.is_empty() {
                let sealed = if self.stateful {
                    let sealed = codec.seal_json(&answers);
                    Some(
                        sealed
                            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?,
                    )
                } else {
                    None
                };
                return Ok(Outcome::Again(InputRequiredResult::new(Some(open), sealed)));
            }
        }
        Ok(Outcome::Answers(answers))
    }
}
