//! What a component may ask of the host: one file per interface, each turning
//! a WIT call into a pool call and the pool's answer into a WIT value.
//!
//! A capability has three stages. It is *linked* once per engine, *configured*
//! once per component revision (its [`Grants`]), and *viewed* once per call
//! (its [`View`]). Pools outlive all three; a guest only ever holds handles.

use crate::manifest::{AllowedHosts, Value};
use crate::pool::Pools;
use crate::telemetry::trace::Span;
use opened::Opened;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::AsContextMut;
use wasmtime::component::{GuestTaskId, HasData, ResourceTable};

pub mod key_value;
mod opened;
pub mod outbound_http;
pub mod postgres;
pub mod redis;
mod traced;
pub mod variables;

/// What one revision of a component was granted by its manifest.
#[derive(Debug)]
pub struct Grants {
    /// The component's name in the manifest, for logs and metrics.
    pub component: Arc<str>,
    /// The component's variables, resolved.
    pub variables: BTreeMap<String, Value>,
    /// Which addresses it may open.
    pub hosts: AllowedHosts,
    /// Its key-value stores, by label.
    pub key_value: BTreeMap<String, key_value::KeyValueStore>,
    /// The node's pools; an address becomes a pool here.
    pub pools: Arc<Pools>,
}

/// One request as its imports see it.
#[derive(Debug)]
pub struct Call {
    /// When the answer's head is due.
    pub deadline: Instant,
    /// How much longer the answer's body may take.
    pub body_total: Duration,
    /// The id the client is told, for the log lines of its imports.
    pub request_id: Arc<str>,
    /// The guest's work on it.
    pub span: Span,
    over: AtomicBool,
    /// The head is there: what is asked for now is for the body.
    answered: AtomicBool,
}

impl Call {
    /// A request whose head is due at `deadline`, and its body `body_total`
    /// later.
    pub fn new(deadline: Instant, body_total: Duration, request_id: Arc<str>, span: Span) -> Self {
        Self {
            deadline,
            body_total,
            request_id,
            span,
            over: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        }
    }

    /// The guest is done with it, and its answer is over.
    pub fn end(&self) {
        self.over.store(true, Relaxed);
        self.span.end();
    }

    /// Whether the guest is done with it, and its answer over.
    pub fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// The answer's head is there.
    pub fn answered(&self) {
        self.answered.store(true, Relaxed);
    }

    /// No wait of an import that begins now goes past this.
    pub fn due(&self) -> Instant {
        if self.answered.load(Relaxed) {
            self.body_due()
        } else {
            self.deadline
        }
    }

    /// No result is read for longer than this: it may be for the body.
    pub fn body_due(&self) -> Instant {
        self.deadline + self.body_total
    }
}

/// The state that capabilities keep in a store.
#[derive(Debug)]
pub struct Capabilities {
    /// What this store's component may use.
    pub grants: Arc<Grants>,
    /// The request each guest task serves. A finished task leaves its entry
    /// behind, for work it still does after its response; the runtime reuses
    /// ids, so the map is as large as the most tasks that ever lived at once.
    calls: HashMap<GuestTaskId, Arc<Call>>,
    /// What the store's guest has opened.
    pub opened: Opened,
}

impl Capabilities {
    /// The state of a new store.
    pub fn new(grants: Arc<Grants>) -> Self {
        Self {
            grants,
            calls: HashMap::new(),
            opened: Opened::default(),
        }
    }

    /// Ties `task` to the request that it serves.
    pub fn begin(&mut self, task: GuestTaskId, call: Arc<Call>) {
        self.calls.insert(task, call);
    }
}

/// A store's capabilities and the table its handles live in.
#[derive(Debug)]
pub struct View<'a> {
    /// Grants and calls.
    pub state: &'a mut Capabilities,
    /// Handles. Its capacity is the component's handle limit.
    pub table: &'a mut ResourceTable,
}

/// Store data that has capabilities.
pub trait HasCapabilities: Send + 'static {
    /// The capabilities, borrowed for one call.
    fn capabilities(&mut self) -> View<'_>;
}

/// The marker that the generated bindings are implemented on.
#[derive(Debug)]
pub struct Host;

impl HasData for Host {
    type Data<'a> = View<'a>;
}

/// The request on whose behalf the guest is calling right now.
///
/// An instance serves several requests at once, so this must be asked on entry
/// to an import, before its first await: later the guest may be elsewhere.
///
/// # Errors
///
/// When no request is being served, such as during a component's start; an
/// import that needs a deadline traps then.
pub fn current_call<T: HasCapabilities>(
    mut store: impl AsContextMut<Data = T>,
) -> wasmtime::Result<Arc<Call>> {
    let mut store = store.as_context_mut();
    // The oldest task of the stack is the export that the host called.
    let root = store.async_call_stack()?.last();
    let view = store.data_mut().capabilities();
    root.and_then(|task| view.state.calls.get(&task))
        .cloned()
        .ok_or_else(|| wasmtime::format_err!("an import was called outside of a request"))
}
