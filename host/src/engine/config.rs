//! The one wasmtime engine of a node.

use super::epoch;
use super::memory::Memory;
use std::sync::Arc;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How much the instance pool has room for.
#[derive(Debug, Clone, Copy)]
pub struct Sizing {
    /// Most instances at once, over all components.
    pub instances: u32,
    /// Largest linear memory of any component, in bytes.
    pub memory: usize,
    /// Largest table of any component, in elements.
    pub table_elements: usize,
}

/// Core instances that one component may hold: its main module and the shims
/// that the toolchain adds, three to five of them with `spin-sdk` 7.
const CORE_INSTANCES_PER_COMPONENT: u32 = 12;

/// Tables that one component may hold; its shims have one each.
const TABLES_PER_COMPONENT: u32 = 12;

/// Bytes of a slot's memory that stay resident when it is returned. Setting
/// them to zero by hand is cheaper than giving the pages back; a guest's
/// working set is a few pages, and more than that was measured to quadruple
/// the host's memory at rest.
const MEMORY_KEEP_RESIDENT: usize = 64 << 10;

/// wasmtime's engine and the thread that advances its epoch.
#[derive(Debug)]
pub struct Engine {
    engine: wasmtime::Engine,
    sizing: Sizing,
    memory: Arc<Memory>,
    _ticker: epoch::Ticker,
}

impl Engine {
    /// Reserves the pool's address space and starts the epoch's thread. Of it all
    /// instances together use `memory` at most.
    ///
    /// # Errors
    ///
    /// When the address space cannot be reserved or the thread not started.
    pub fn new(sizing: Sizing, memory: Memory) -> anyhow::Result<Self> {
        let engine = Self::configured(sizing, |_| Ok(()))?;
        Ok(Self {
            memory: Arc::new(memory),
            ..engine
        })
    }

    /// The same for an engine that compiles and runs nothing, with more said of how.
    ///
    /// # Errors
    ///
    /// When `further` fails, too.
    pub(super) fn configured(
        sizing: Sizing,
        further: impl FnOnce(&mut Config) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(sizing.instances)
            .total_core_instances(
                sizing
                    .instances
                    .saturating_mul(CORE_INSTANCES_PER_COMPONENT),
            )
            .total_memories(sizing.instances)
            .total_tables(sizing.instances.saturating_mul(TABLES_PER_COMPONENT))
            .total_stacks(sizing.instances.saturating_mul(2))
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(2)
            .max_tables_per_component(TABLES_PER_COMPONENT)
            .max_memory_size(sizing.memory)
            .table_elements(sizing.table_elements)
            .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT);

        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            // A slot's reservation is its largest memory, not 4 GiB: a
            // thousand slots fit the address space of any machine.
            .memory_reservation(sizing.memory as u64)
            .memory_init_cow(true)
            .wasm_component_model(true)
            .wasm_component_model_async(true)
            .epoch_interruption(true);
        further(&mut config)?;
        let engine = wasmtime::Engine::new(&config)?;
        let ticker = epoch::Ticker::start(&engine)?;
        Ok(Self {
            engine,
            sizing,
            memory: Arc::new(Memory::new(u64::MAX, 1)),
            _ticker: ticker,
        })
    }

    /// How much its pool has room for.
    pub fn sizing(&self) -> Sizing {
        self.sizing
    }

    /// What all its instances may hold together.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// wasmtime's own handle.
    pub fn inner(&self) -> &wasmtime::Engine {
        &self.engine
    }
}
