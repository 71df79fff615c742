//! The section `memory`.

use super::super::memory::{Memory, percent, ratio};
use super::super::process;
use super::Text;
use crate::execute::SessionContext;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn memory(context: &SessionContext<'_>, text: &mut Text) {
    let memory = Memory::of(context);
    let config = context.server.config.current();
    text.bytes("used_memory", memory.used);
    text.bytes("used_memory_rss", memory.resident);
    text.bytes("used_memory_peak", memory.peak);
    let peak_at = context.server.stats.peak_memory_at.load(Relaxed);
    text.field("used_memory_peak_time", peak_at);
    let share = percent(memory.used, memory.peak);
    text.field("used_memory_peak_perc", format_args!("{share:.2}%"));
    text.field("used_memory_overhead", memory.overhead());
    text.field("used_memory_startup", memory.startup);
    text.field("used_memory_dataset", memory.dataset());
    let share = memory.dataset_percent();
    text.field("used_memory_dataset_perc", format_args!("{share:.2}%"));
    text.field("allocator_allocated", memory.used);
    text.field("allocator_active", memory.active);
    text.field("allocator_resident", memory.mapped);
    text.field("allocator_muzzy", 0);
    text.bytes("total_system_memory", process::machine_bytes());
    scripts(context, text);
    text.bytes("maxmemory", config.maxmemory);
    let policy = config.shown("maxmemory-policy").unwrap_or_default();
    text.field("maxmemory_policy", String::from_utf8_lossy(&policy));
    let mut proportion = |name: &str, part: u64, whole: u64| {
        text.field(
            &format!("{name}_ratio"),
            format_args!("{:.2}", ratio(part, whole)),
        );
        let difference = part as i64 - whole as i64;
        text.field(&format!("{name}_bytes"), difference);
    };
    proportion("allocator_frag", memory.active, memory.used);
    proportion("allocator_rss", memory.mapped, memory.active);
    proportion("rss_overhead", memory.resident, memory.mapped);
    proportion("mem_fragmentation", memory.resident, memory.used);
    text.field("mem_not_counted_for_evict", memory.uncounted);
    text.field("mem_replication_backlog", memory.backlog);
    text.field("mem_total_replication_buffers", memory.backlog);
    text.field("mem_replica_full_sync_buffer", 0);
    text.field("mem_clients_slaves", memory.replica_clients);
    text.field("mem_clients_normal", memory.normal_clients);
    text.field("mem_cluster_links", 0);
    text.field("mem_aof_buffer", 0);
    text.field("mem_overhead_db_hashtable_rehashing", 0);
    text.field("mem_allocator", crate::allocator::version());
    text.flag("active_defrag_running", false);
    let pending = context.server.lazy_free_pending.load(Relaxed);
    text.field("lazyfree_pending_objects", pending);
    let freed = context.server.stats.lazy_freed.load(Relaxed);
    text.field("lazyfreed_objects", freed);
}

/// Interpreters, as far as they have reported, and the texts of scripts and libraries.
fn scripts(context: &SessionContext<'_>, text: &mut Text) {
    let scripts = &context.server.scripts;
    let for_scripts = scripts.interpreter_bytes.load(Relaxed);
    let for_functions = scripts.function_bytes.load(Relaxed);
    let (cached, bytes) = scripts.size();
    let libraries = context.server.keyspace.functions.get();
    let library_bytes = libraries.mem_bytes() as u64;
    let (library_count, function_count) = libraries.counts();
    text.field("used_memory_vm_eval", for_scripts);
    text.bytes("used_memory_lua", for_scripts);
    text.field("used_memory_scripts_eval", bytes);
    text.field("number_of_cached_scripts", cached);
    text.field("number_of_functions", function_count);
    text.field("number_of_libraries", library_count);
    text.field("used_memory_vm_functions", for_functions);
    text.bytes("used_memory_vm_total", for_scripts + for_functions);
    text.field("used_memory_functions", library_bytes);
    text.bytes("used_memory_scripts", bytes + library_bytes);
}
