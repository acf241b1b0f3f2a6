//! A conversation over one stream: what the client says comes in piece by piece, and everything
//! it hears, answers and news alike, goes out through one queue (HTTP+SSE 2024-11-05, and pipes).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::batch::{self, Piece};
use super::message::Messages;
use crate::base::{Fault, Kind, Tasks};
use crate::pipeline::{Answer, Body, Letter, Line, Opened, Outcome, Posting};
use crate::wire::header::SESSION;
use crate::wire::{Era, IdText, PostedKind};

/// Requests of one conversation that may run at a time.
const AT_ONCE: u32 = 64;
/// News that broke off are listened for again after this pause.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the messages for the client go, already in the form of their stream.
pub(super) type Out = mpsc::Sender<Result<Bytes, Box<Fault>>>;

/// One conversation.
pub(super) struct Conversation {
    line: Arc<Line>,
    tasks: Tasks,
    /// Who speaks and where; the body is empty.
    template: Posting,
    /// The id of the session, when `initialize` was answered.
    session: OnceLock<HeaderValue>,
    out: Out,
    frame: fn(&[u8]) -> Bytes,
    running: Mutex<HashMap<String, CancellationToken>>,
    places: Arc<Semaphore>,
    listens: OnceLock<()>,
    ended: CancellationToken,
}

impl Conversation {
    /// A conversation with whoever `template` names. `frame` gives a message the form in which it
    /// goes onto the stream.
    pub(super) fn new(
        line: Arc<Line>,
        tasks: Tasks,
        template: Posting,
        out: Out,
        frame: fn(&[u8]) -> Bytes,
    ) -> Arc<Self> {
        Arc::new(Self {
            line,
            tasks,
            template,
            session: OnceLock::new(),
            out,
            frame,
            running: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE as usize)),
            listens: OnceLock::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Who speaks, and where.
    pub(super) fn posting(&self) -> &Posting {
        &self.template
    }

    /// Fires when the conversation is over.
    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Takes in what the client said; what comes of it goes out through the queue.
    ///
    /// # Errors
    /// With the refusal, when it is no message or there is no place for it.
    pub(super) async fn take(self: &Arc<Self>, body: Bytes) -> Result<(), Box<Outcome>> {
        let mut posting = self.template.clone();
        posting.body = body;
        if let Some(session) = self.session.get() {
            posting.headers.insert(SESSION, session.clone());
            self.listen();
        }
        match self.line.open(posting) {
            Opened::Letter(letter) => self.take_letter(letter).await,
            Opened::Batch(posting) => {
                let letters = self.line.batch(*posting).await?;
                self.take_batch(letters)
            }
            Opened::Refused(outcome) => Err(Box::new(outcome)),
        }
    }

    async fn take_letter(self: &Arc<Self>, letter: Letter) -> Result<(), Box<Outcome>> {
        if letter.kind() != PostedKind::Request {
            let withdrawn = letter.cancels().and_then(|id| self.running().remove(id));
            if let Some(call) = withdrawn {
                call.cancel();
                return Ok(());
            }
            // In its turn, so that what came before it has begun and what comes after it has not.
            let outcome = self.line.serve(letter).await;
            if let Err(fault) = outcome.answer {
                tracing::debug!(reason = %fault.public, "a message without an answer was refused");
            }
            return Ok(());
        }
        if letter.opens() {
            if self.session.get().is_some() {
                let what = "This connection has its session already; open another connection";
                return Err(refusal(&letter, Fault::client(Kind::NotMessage, what)));
            }
            let (mut messages, session) = Messages::of(self.line.serve(letter).await);
            if let Some(session) = session {
                // Only this task opens a session here, one message after the other.
                let _ = self.session.set(session);
            }
            while let Some(message) = messages.next().await {
                self.say(&message).await;
            }
            return Ok(());
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let what = "Too many requests of this connection run at once; wait for some to end";
            return Err(refusal(&letter, Fault::client(Kind::Busy, what)));
        };
        let id = letter.id().to_owned();
        let modern = letter.is_modern();
        let call = self.ended.child_token();
        if modern {
            let mut running = self.running();
            if running.contains_key(&id) {
                drop(running);
                let what = "A request with this id is running; give each request its own";
                return Err(refusal(&letter, Fault::client(Kind::NotMessage, what)));
            }
            running.insert(id.clone(), call.clone());
        }
        let this = self.clone();
        self.begin(async move {
            tokio::select! {
                () = this.answer(letter) => {}
                () = call.cancelled() => {}
            }
            if modern {
                this.running().remove(&id);
            }
            drop(place);
        });
        Ok(())
    }

    /// Runs a request. Its first step is taken here and now, so that a cancellation that comes
    /// right behind it finds it.
    fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(work);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if work.as_mut().poll(&mut context).is_pending() {
            self.tasks.spawn("request", work);
        }
    }

    async fn answer(&self, letter: Letter) {
        let listens = letter.listens().then(|| letter.id().to_owned());
        let (mut messages, _) = Messages::of(self.line.serve(letter).await);
        while let Some(message) = messages.next().await {
            self.say(&message).await;
        }
        // Where no stream of its own ends, this says that nothing more comes (protocol.md 1.6).
        if let Some(id) = listens {
            let over = format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}"
            );
            self.say(over.as_bytes()).await;
        }
    }

    fn take_batch(self: &Arc<Self>, letters: Vec<Letter>) -> Result<(), Box<Outcome>> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let what = "Too many requests of this connection run at once; wait for some to end";
            let answer = Err(Fault::client(Kind::Busy, what));
            let id = IdText::new_static("null");
            return Err(Box::new(Outcome { id, era: Era::Legacy, tool: false, answer }));
        };
        let mut arriving = batch::start(&self.line, &self.tasks, letters);
        let this = self.clone();
        self.tasks.spawn("batch", async move {
            let mut responses = Vec::new();
            while let Some(piece) = arriving.recv().await {
                match piece {
                    Piece::Aside(message) => this.say(&message).await,
                    Piece::Response(message) => responses.push(message),
                }
            }
            if !responses.is_empty() {
                this.say(&batch::array(responses).concat()).await;
            }
            drop(place);
        });
        Ok(())
    }

    /// Puts one message on the queue; waits for a client that reads slowly, but not longer than
    /// the conversation lasts.
    pub(super) async fn say(&self, message: &[u8]) {
        tokio::select! {
            // One that has gone hears nothing.
            _ = self.out.send(Ok((self.frame)(message))) => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Begins to pass on what belongs to no request, once.
    fn listen(self: &Arc<Self>) {
        if self.listens.set(()).is_err() {
            return;
        }
        let this = self.clone();
        self.tasks.spawn("news of a conversation", async move {
            loop {
                let over = tokio::select! {
                    over = this.news() => over,
                    () = this.ended.cancelled() => true,
                };
                if over {
                    break;
                }
                // Whoever read too slowly has lost some. There is no reconnecting here that would
                // make the client list anew, so it is told to.
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = this.ended.cancelled() => break,
                }
                for name in ["tools", "prompts", "resources"] {
                    let changed = format!(
                        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{name}/list_changed\"}}"
                    );
                    this.say(changed.as_bytes()).await;
                }
            }
            this.ended.cancel();
        });
    }

    /// Passes news on until they break off; true when the session is over.
    async fn news(&self) -> bool {
        let outcome = self.line.stream(&self.signed()).await;
        let Ok(Answer { body: Body::Events(feed), .. }) = &outcome.answer else { return true };
        let ends = feed.ends.clone();
        let (mut messages, _) = Messages::of(outcome);
        while let Some(message) = messages.next().await {
            self.say(&message).await;
        }
        ends.iter().any(CancellationToken::is_cancelled)
    }

    /// The template with the session.
    fn signed(&self) -> Posting {
        let mut posting = self.template.clone();
        if let Some(session) = self.session.get() {
            posting.headers.insert(SESSION, session.clone());
        }
        posting
    }

    /// Lets what runs come to its end, and what was said be taken, at most this long.
    pub(super) async fn settle(&self, limit: Duration) {
        let settled = async {
            let _all = self.places.acquire_many(AT_ONCE).await;
            // Every place in the queue is free when the last message has left it.
            let _empty = self.out.reserve_many(self.out.max_capacity()).await;
        };
        // What is not done by then ends with the conversation.
        let _ = tokio::time::timeout(limit, settled).await;
    }

    /// Ends it, with its session and everything that runs for it.
    pub(super) async fn end(&self) {
        self.ended.cancel();
        if self.session.get().is_some() {
            // One that has expired meanwhile is over as well.
            let _ = self.line.terminate(&self.signed()).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(letter: &Letter, fault: Fault) -> Box<Outcome> {
    let era = if letter.is_modern() { Era::Modern } else { Era::Legacy };
    Box::new(Outcome { id: IdText::new(letter.id()), era, tool: false, answer: Err(fault) })
}
