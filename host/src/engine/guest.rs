//! What a store holds for its guest.

use super::memory::Limiter;
use super::ticket::{Fate, Ticket};
use crate::capability::outbound_http::Outbound;
use crate::capability::{Capabilities, HasCapabilities, View};
use crate::telemetry::trace::TraceId;
use std::sync::{Arc, Weak};
use wasmtime::ResourceLimiter;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// A store's data.
pub struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    capabilities: Capabilities,
    limits: Limiter,
    tickets: Vec<Weak<Ticket>>,
}

impl Guest {
    pub(super) fn new(
        wasi: WasiCtx,
        outbound: Outbound,
        capabilities: Capabilities,
        limits: Limiter,
        handles: usize,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        Self {
            table,
            wasi,
            http: WasiHttpCtx::new(),
            outbound,
            capabilities,
            limits,
            tickets: Vec::new(),
        }
    }

    /// A request begins in this store, as the component-model task `task`.
    pub(super) fn begin(&mut self, task: GuestTaskId, ticket: &Arc<Ticket>) {
        self.tickets.retain(|ticket| ticket.strong_count() > 0);
        self.tickets.push(Arc::downgrade(ticket));
        self.outbound.begin(ticket.call());
        self.capabilities.begin(task, ticket.call().clone());
    }

    /// The store ends before its requests do. Answers which these are, for the log:
    /// each client has been told its own.
    pub(super) fn doom(&self, fate: Fate) -> Doomed {
        let mut doomed = Doomed::default();
        for ticket in self.tickets.iter().filter_map(Weak::upgrade) {
            ticket.set_fate(fate);
            let call = ticket.call();
            doomed.requests.push(call.request_id.clone());
            doomed.traces.extend(call.span.trace_id());
        }
        doomed
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }
}

/// The requests inside of a store that ended.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    requests: Vec<Arc<str>>,
    traces: Vec<TraceId>,
}

impl Doomed {
    /// Their ids, with spaces between.
    pub(super) fn requests(&self) -> String {
        self.requests.join(" ")
    }

    /// Their traces, with spaces between; none where nothing is traced.
    pub(super) fn traces(&self) -> Option<String> {
        let traces: Vec<_> = self.traces.iter().map(TraceId::to_string).collect();
        (!traces.is_empty()).then(|| traces.join(" "))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl HasCapabilities for Guest {
    fn capabilities(&mut self) -> View<'_> {
        View {
            state: &mut self.capabilities,
            table: &mut self.table,
        }
    }
}
