# `make run` and `make test` do all the set-up on a machine with a Rust toolchain, Python
# and Debian's package manager.

CARGO ?= cargo
SERVER = target/release/lockstep-server
PYTHON ?= python3

.PHONY: all run test bench soak fuzz sanitize fmt fix lint docs unit integration redis-tests peers clean

all:
	$(CARGO) build --release

# One primary and two synchronous replicas on 6379, 6380 and 6381; Ctrl-C stops all.
run: all
	target/release/lockstep group

# Everything that CI runs. Never rewrites a file.
test: fmt lint unit integration fuzz redis-tests

fmt:
	$(CARGO) fmt --all -- --check

fix:
	$(CARGO) fmt --all

lint:
	$(CARGO) clippy --all-targets --locked -- -D warnings

unit:
	$(CARGO) test --locked --lib --bins --quiet

# Real processes: killed, paused, partitioned.
integration:
	$(CARGO) test --locked --test '*' --quiet -- --test-threads=2

# A bounded run of each fuzz target.
fuzz:
	$(CARGO) test --locked --manifest-path fuzz/Cargo.toml --quiet

# The unsafe rooms under AddressSanitizer; the compiler's runtime for it is on x86-64 Linux. Leaks
# are looked for only where no test leaks a server on purpose: the tables tag their pointers, so
# that what such a server holds looks lost.
SANITIZED = RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize \
	$(CARGO) test --locked --lib --quiet --target x86_64-unknown-linux-gnu --
sanitize:
	ASAN_OPTIONS=detect_leaks=1 $(SANITIZED) allocator:: values:: keyspace:: protocol::
	ASAN_OPTIONS=detect_leaks=0 $(SANITIZED) execute:: snapshot:: scripting::

# The same commands on Lockstep, Redis and Valkey, replies compared; client libraries.
redis-tests: all peers
	redis-tests/run --binary $(SERVER)
	redis-tests/run-exchange --binary $(SERVER)
	redis-tests/run-tools --binary $(SERVER)
	redis-tests/run-replication --binary $(SERVER)
	redis-tests/run-clients --binary $(SERVER)
	redis-tests/run-sentinel --binary $(SERVER)

# Redis 8.2.3, Valkey 9.1.2 and the client libraries, under .peers (ignored by git).
peers:
	redis-tests/install

# Beside Redis and Valkey, in one run; writes BENCHMARKS.md.
bench: all peers
	$(PYTHON) benches/compare.py

# The fault tests again and again, for as long as SOAK_MINUTES says.
soak: all
	SOAK_MINUTES=$${SOAK_MINUTES:-30} $(CARGO) test --release --locked --test '*' -- --test-threads=2 --nocapture

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

clean:
	$(CARGO) clean
