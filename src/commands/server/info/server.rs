//! The sections `server`, `cpu` and `cluster`.

use super::super::process;
use super::Text;
use crate::execute::SessionContext;
use crate::server::COMPATIBLE_VERSION;
use crate::time;
use std::sync::atomic::Ordering;

pub(super) fn server(context: &SessionContext<'_>, text: &mut Text) {
    let server = context.server;
    let config = server.config.current();
    let uptime = server.started.elapsed().as_secs();
    text.field("redis_version", COMPATIBLE_VERSION);
    text.field("lockstep_version", env!("CARGO_PKG_VERSION"));
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field(
        "redis_build_id",
        format_args!("{:016x}", crate::server::build_id()),
    );
    // Redis's name of it, and Valkey's.
    text.field("redis_mode", "standalone");
    text.field("server_mode", "standalone");
    text.field("os", process::operating_system());
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    // Redis is C, and tells by what it was compiled; 0.0.0 when that was not gcc.
    text.field("atomicvar_api", "c11-builtin");
    text.field("gcc_version", "0.0.0");
    text.field("process_id", std::process::id());
    text.field("process_supervised", server.supervisor.name());
    text.field("run_id", &server.run_id);
    text.field("tcp_port", config.port);
    text.field("server_time_usec", time::unix_micros());
    text.field("uptime_in_seconds", uptime);
    text.field("uptime_in_days", uptime / 86_400);
    text.field("hz", config.hz);
    text.field("configured_hz", config.hz);
    text.field("lru_clock", (context.now / 1000) & 0xff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    text.field("executable", executable.display());
    let file = server.config.file().unwrap_or(std::path::Path::new(""));
    text.field("config_file", file.display());
    text.flag("io_threads_active", server.workers().len() > 1);
    text.field("workers", server.workers().len());
    let mut workers = server.workers().iter();
    let has_ring = workers.any(|worker| worker.has_ring.load(Ordering::Relaxed));
    text.flag("io_uring", has_ring);
    // Valkey always shows it.
    text.field("availability_zone", &config.availability_zone);
    if let Some(left) = server.stopping.time_left() {
        text.field("shutdown_in_milliseconds", left.as_millis());
    }
    let mut listeners = Vec::new();
    if config.port != 0 {
        let addresses: String = config.bind.iter().map(|a| format!("bind={a},")).collect();
        listeners.push(format!("name=tcp,{addresses}port={}", config.port));
    }
    if let Some(path) = &config.unixsocket {
        listeners.push(format!("name=unix,bind={path}"));
    }
    for (i, listener) in listeners.iter().enumerate() {
        text.field(&format!("listener{i}"), listener);
    }
}

pub(super) fn cpu(_context: &SessionContext<'_>, text: &mut Text) {
    let (all, main) = (process::cpu_times(), process::main_thread_times());
    for (name, seconds) in [
        ("used_cpu_sys", all.system),
        ("used_cpu_user", all.user),
        ("used_cpu_sys_children", all.children_system),
        ("used_cpu_user_children", all.children_user),
        ("used_cpu_sys_main_thread", main.system),
        ("used_cpu_user_main_thread", main.user),
    ] {
        text.field(name, format_args!("{seconds:.6}"));
    }
}

pub(super) fn cluster(_context: &SessionContext<'_>, text: &mut Text) {
    text.flag("cluster_enabled", false);
}
