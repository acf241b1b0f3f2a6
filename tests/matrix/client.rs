//! Clients of the Rust SDK in both eras, which write down what they hear and answer what they are
//! asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig,
        ClientRequest, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
        ElicitResult, ElicitationAction, Implementation, ListRootsResult, LoggingLevel,
        LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
        RequestMetaObject, ResourceUpdatedNotificationParam, Root, SamplingMessage,
        ServerNotification, SubscriptionFilter,
    },
    service::{
        NotificationContext, PeerRequestOptions, RequestContext, RequestHandle, RunningService,
    },
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::Era;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for a notification of what has happened already.
const HEARING: Duration = Duration::from_secs(10);

/// What a client heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// `notifications/progress`: the message, the progress.
    Progress(String, f64),
    /// `notifications/message`: the level, the data.
    Log(LoggingLevel, String),
    /// A list has changed.
    Changed(&'static str),
    /// A resource was updated.
    Updated(String),
}

/// What a client heard, in order.
#[derive(Default)]
pub(crate) struct Heard {
    notes: Mutex<Vec<Note>>,
    more: Notify,
}

impl Heard {
    fn note(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.more.notify_waiters();
    }

    /// Everything up to now.
    pub(crate) fn all(&self) -> Vec<Note> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was heard.
    pub(crate) fn forget(&self) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until enough was heard.
    pub(crate) async fn until(
        &self,
        what: &str,
        enough: impl Fn(&[Note]) -> bool,
    ) -> Result<(), String> {
        let waiting = async {
            loop {
                let more = self.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if enough(&self.all()) {
                    return;
                }
                more.await;
            }
        };
        let heard = tokio::time::timeout(HEARING, waiting).await;
        heard.map_err(|_| {
            let all = self.all();
            format!("did not hear {what}, but {} notes, last {:?}", all.len(), all.last())
        })
    }
}

/// Hears and answers for a client.
#[derive(Clone)]
pub(crate) struct Ears {
    heard: Arc<Heard>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder()
            .enable_elicitation()
            .enable_sampling()
            .enable_roots()
            .build();
        ClientConfig::new(capabilities, Implementation::new("matrix", "1"))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.heard.note(Note::Progress(params.message.unwrap_or_default(), params.progress));
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let data = params.data.as_str().map_or_else(|| params.data.to_string(), str::to_owned);
        self.heard.note(Note::Log(params.level, data));
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.heard.note(Note::Updated(params.uri));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.heard.note(Note::Changed("tools"));
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.heard.note(Note::Changed("prompts"));
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.heard.note(Note::Changed("resources"));
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.ask(&json!(params.messages));
        let message = SamplingMessage::assistant_text("Paris");
        Ok(CreateMessageResult::new(message, "a-model".to_owned()))
    }

    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.ask(&json!("roots"));
        Ok(ListRootsResult::new(vec![Root::new("file:///home/someone")]))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.ask(&json!(request));
        let content = json!({"name": "Ada", "username": "ada", "email": "ada@example.com"});
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content))
    }
}

impl Ears {
    fn ask(&self, question: &Value) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(question.to_string());
    }
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) era: Era,
    pub(crate) heard: Arc<Heard>,
    pub(crate) door: Door,
    asked: Arc<Mutex<Vec<String>>>,
    running: RunningService<RoleClient, Ears>,
}

/// Where a client goes.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) key: String,
}

impl Client {
    /// Connects in an era.
    pub(crate) async fn connect(era: Era, door: &Door) -> Result<Self, String> {
        // The SDK's HTTP client wants one, also for plain HTTP. A second one is refused; so be it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}{}", door.address, door.path);
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(&door.key);
        let transport = StreamableHttpClientTransport::from_config(config);
        let lifecycle = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        };
        let ears = Ears { heard: Arc::default(), asked: Arc::default() };
        let (heard, asked) = (Arc::clone(&ears.heard), Arc::clone(&ears.asked));
        let running = ears.serve_with_lifecycle(transport, lifecycle).await;
        let running = running.map_err(|error| format!("cannot connect: {error}"))?;
        Ok(Self { era, heard, door: door.clone(), asked, running })
    }

    /// For the SDK's own methods.
    pub(crate) fn peer(&self) -> &Peer<RoleClient> {
        self.running.peer()
    }

    /// For the methods during which a server may ask.
    pub(crate) fn service(&self) -> &RunningService<RoleClient, Ears> {
        &self.running
    }

    /// What it was asked up to now.
    pub(crate) fn asked(&self) -> String {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Calls a tool; questions are answered on the way.
    pub(crate) async fn call(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> Result<CallToolResult, String> {
        let call = self.running.call_tool(params(tool, arguments));
        let result = tokio::time::timeout(PATIENCE, call).await;
        let result = result.map_err(|_| format!("{tool} was not answered"))?;
        result.map_err(|error| format!("{tool}: {error}"))
    }

    /// The text of a tool's answer.
    pub(crate) async fn text(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> Result<String, String> {
        let result = self.call(tool, arguments).await?;
        let text = result.content.first().and_then(|block| block.as_text());
        text.map(|text| text.text.clone()).ok_or_else(|| format!("{tool}: {result:?}"))
    }

    /// Begins a call that may be cancelled; `level` is for the modern era.
    pub(crate) async fn begin(
        &self,
        tool: &'static str,
        arguments: Value,
        level: Option<LoggingLevel>,
    ) -> Result<RequestHandle<RoleClient>, String> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params(tool, arguments)));
        let mut options = PeerRequestOptions::no_options();
        if let Some(level) = level {
            let mut meta = RequestMetaObject::new();
            meta.set_log_level(level);
            options = options.with_meta(meta);
        }
        let begun = self.peer().send_cancellable_request(request, options).await;
        begun.map_err(|error| error.to_string())
    }

    /// Opens what this era has for changes, and follows a resource.
    pub(crate) async fn follow(&self, uri: &str) -> Result<Follower, String> {
        if self.era == Era::Legacy {
            let params = rmcp::model::SubscribeRequestParams::new(uri);
            self.peer().subscribe(params).await.map_err(|error| error.to_string())?;
            return Ok(Follower(None));
        }
        let filter = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .resource_subscription(uri)
            .build();
        let mut listen =
            self.peer().listen(filter.clone()).await.map_err(|error| error.to_string())?;
        if *listen.acknowledged() != filter {
            return Err(format!("the listen honours {:?} only", listen.acknowledged()));
        }
        let heard = Arc::clone(&self.heard);
        let task = tokio::spawn(async move {
            while let Ok(Some(notification)) = listen.next().await {
                heard.note(match notification {
                    ServerNotification::ToolListChangedNotification(_) => Note::Changed("tools"),
                    ServerNotification::PromptListChangedNotification(_) => {
                        Note::Changed("prompts")
                    }
                    ServerNotification::ResourceListChangedNotification(_) => {
                        Note::Changed("resources")
                    }
                    ServerNotification::ResourceUpdatedNotification(updated) => {
                        Note::Updated(updated.params.uri)
                    }
                    _ => Note::Changed("something else"),
                });
            }
        });
        Ok(Follower(Some(task)))
    }

    /// Ends the connection.
    pub(crate) async fn close(self) {
        // One that does not end by itself is dropped.
        let _ = tokio::time::timeout(PATIENCE, self.running.cancel()).await;
    }
}

/// A stream of changes that ends with the value.
pub(crate) struct Follower(Option<tokio::task::JoinHandle<()>>);

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(tool);
    match arguments {
        Value::Object(arguments) => params.with_arguments(arguments),
        _ => params,
    }
}
