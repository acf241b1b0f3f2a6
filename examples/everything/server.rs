//! The server: every method of the protocol, handed to the module that knows it.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        CompleteRequestParams, CompleteResult, GetPromptRequestParams, GetPromptResponse,
        GetTaskParams, GetTaskResult, Implementation, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ResourceUpdatedNotificationParam, ServerCapabilities, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
        UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext, SubscriptionSink},
    task_manager::TaskManager,
};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    definitions,
    era::Era,
    ledger::Ledger,
    probe::{Probe, text_result},
    prompts, resources, scripts, simple, tasks,
};

const TTL_MS: u64 = 60_000;

/// What changed, for those who asked to be told.
#[derive(Clone)]
enum Change {
    Tools,
    Prompts,
    Resources,
    Resource(String),
}

/// A client with an `initialize` handshake, and the resources it watches.
struct Watcher {
    peer: Peer<RoleServer>,
    uris: Vec<String>,
}

/// The server that offers everything. Clones share their state.
#[derive(Clone)]
pub(crate) struct Everything {
    era: Era,
    page: Option<usize>,
    listed: Arc<Vec<Tool>>,
    pub(crate) probe: Probe,
    ledger: Option<Ledger>,
    tasks: TaskManager,
    next: Arc<AtomicU64>,
    /// Identifies the session among the watchers; each clone for a session gets its own.
    session: u64,
    watchers: Arc<Mutex<HashMap<u64, Watcher>>>,
    listeners: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
}

impl Everything {
    /// A server of an era with so many synthetic tools, listed in pages of `page`.
    pub(crate) fn new(
        era: Era,
        synthetic: usize,
        page: Option<usize>,
        ledger: Option<Ledger>,
    ) -> Self {
        Self {
            era,
            page,
            listed: Arc::new(definitions::tools(synthetic)),
            probe: Probe::default(),
            ledger,
            tasks: TaskManager::new(),
            next: Arc::default(),
            session: 0,
            watchers: Arc::default(),
            listeners: Arc::default(),
        }
    }

    /// The era it lives in.
    pub(crate) const fn era(&self) -> Era {
        self.era
    }

    /// The same server for one more session.
    pub(crate) fn for_session(&self) -> Self {
        Self { session: self.next.fetch_add(1, Ordering::Relaxed), ..self.clone() }
    }

    async fn announce(&self, change: Change) {
        let listeners: Vec<_> = self.listeners.lock().await.values().cloned().collect();
        for listener in listeners {
            // A listener that did not ask for this change refuses it, as it should.
            let _ = match &change {
                Change::Tools => listener.notify_tool_list_changed().await,
                Change::Prompts => listener.notify_prompt_list_changed().await,
                Change::Resources => listener.notify_resource_list_changed().await,
                Change::Resource(uri) => listener.notify_resource_updated(uri).await,
            };
        }
        let peers: Vec<_> = {
            let mut watchers = self.watchers.lock().await;
            watchers.retain(|_, watcher| !watcher.peer.is_transport_closed());
            watchers
                .values()
                .filter(|watcher| match &change {
                    Change::Resource(uri) => watcher.uris.contains(uri),
                    _ => true,
                })
                .map(|watcher| watcher.peer.clone())
                .collect()
        };
        for peer in peers {
            let _ = match &change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resources => peer.notify_resource_list_changed().await,
                Change::Resource(uri) => {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
                }
            };
        }
    }

    async fn change(&self, request: &CallToolRequestParams) -> Option<CallToolResult> {
        let uri = || request.arguments.as_ref()?.get("uri").and_then(Value::as_str);
        let change = match request.name.as_ref() {
            "test_trigger_tool_change" => Change::Tools,
            "test_trigger_prompt_change" => Change::Prompts,
            "test_trigger_resource_change" => Change::Resources,
            "touch_resource" => {
                Change::Resource(uri().unwrap_or("test://watched-resource").to_owned())
            }
            _ => return None,
        };
        self.announce(change).await;
        Some(text_result("announced"))
    }
}

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_completions()
            .enable_logging();
        // The tasks extension came after the revisions with `initialize`.
        let capabilities = match self.era {
            Era::Legacy => capabilities.build(),
            Era::Modern | Era::Both => capabilities.enable_tasks().build(),
        };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("everything", env!("CARGO_PKG_VERSION")))
            .with_instructions("Offers everything, for tests")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.era.versions()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        // Only this one has arguments that the transport checks against headers.
        (name == "test_custom_header").then(definitions::custom_header)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let watcher = Watcher { peer: context.peer, uris: Vec::new() };
        self.watchers.lock().await.insert(self.session, watcher);
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let start = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor
                .parse::<usize>()
                .ok()
                .filter(|start| *start < self.listed.len())
                .ok_or_else(|| ErrorData::invalid_params("unknown cursor", None))?,
        };
        let rest = self.listed.get(start..).unwrap_or_default();
        let page = rest.get(..self.page.unwrap_or(rest.len())).unwrap_or(rest);
        let mut result = ListToolsResult { tools: page.to_vec(), ..Default::default() };
        if page.len() < rest.len() {
            result.next_cursor = Some((start + page.len()).to_string());
        }
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(ledger) = &self.ledger {
            ledger
                .note(&request)
                .map_err(|error| ErrorData::internal_error(format!("the ledger: {error}"), None))?;
        }
        if let Some(answer) = self.probe.call(&request, &context).await {
            return answer.map(Into::into);
        }
        if let Some(answer) = simple::call(&request, &context).await {
            return answer.map(Into::into);
        }
        if let Some(answer) = scripts::call(&request, &context).await {
            return answer;
        }
        if let Some(answer) = tasks::call(&self.tasks, &request, &context).await {
            return answer;
        }
        if let Some(answer) = self.change(&request).await {
            return Ok(answer.into());
        }
        Err(ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let result = ListResourcesResult { resources: resources::list(), ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let resource_templates = resources::templates();
        let result = ListResourceTemplatesResult { resource_templates, ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let result = resources::read(&request.uri)?;
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let result = ListPromptsResult { prompts: prompts::list(), ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&request, &context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&request)
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let mut watchers = self.watchers.lock().await;
        if let Some(watcher) = watchers.get_mut(&self.session) {
            watcher.uris.push(request.uri);
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let mut watchers = self.watchers.lock().await;
        if let Some(watcher) = watchers.get_mut(&self.session) {
            watcher.uris.retain(|uri| *uri != request.uri);
        }
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.listeners.lock().await.insert(number, context.sink().clone());
        context.cancelled().await;
        self.listeners.lock().await.remove(&number);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}
