# Every chore of the project. Each target says what it is for; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help up dev test fuzz bench growth pools yardstick chaos hostile monitoring alerts lint fmt audit seed burst setup host components guests clean k8s image image-test deploy failover

CARGO ?= cargo
RELEASE := $(CARGO) build --release
GUEST := $(CARGO) build --profile guest --target wasm32-wasip2

COMPONENTS := health users urls events redirect import clicks repair
# The folders of tests/guests are named without the prefix of their packages.
GUESTS := $(addprefix guest-,$(notdir $(patsubst %/,%,$(wildcard tests/guests/*/))))
# In one call, so that every dependency is built once for all of them.
TEST := $(CARGO) test --release --lib --bin bench --bin bench-ceiling --bin chaos --test e2e --test imports --test load -p warmlink -p warmlink-tests -p bench -p bench-ceiling -p chaos -p layers -p chance -p shared $(addprefix -p ,$(COMPONENTS))

WARMLINK := target/release/warmlink

# The yardstick is of what is shipped; `release` is sooner built.
BENCH_PROFILE ?= dist
BENCHES := bench bench-ceiling bench-peer
MEASURE = WARMLINK_BIN=$(CURDIR)/target/$(BENCH_PROFILE)/warmlink target/$(BENCH_PROFILE)/bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: setup host components ## Build and serve on :3000, with a private PostgreSQL and Valkey unless told of others
	exec $(WARMLINK) up

dev: setup host components ## As `up`; a saved source is built and swapped in, with no connection cut
	exec $(WARMLINK) up --watch

test: setup host components guests ## Every test: units, then the real binary against real servers
	$(TEST)

# Property tests are in modules of that name, of the build that `test` makes.
fuzz: setup host components ## Made-up requests against the API's document, then property tests with more cases (FUZZ_SECONDS=120 FUZZ_SEED= FUZZ_TIMES=20)
	@sh scripts/fuzz.sh $(TEST) -- properties

bench: yardstick ## The yardstick: native servers, bare wasmtime and this host in turn (ONLY=hello,head BENCH_PROFILE=release)
	$(MEASURE) $(if $(ONLY),--only $(ONLY))

growth: yardstick ## 1,000 links against 5,000,000: the same requests to two hosts in turn, 4 minutes
	$(MEASURE) --growth

pools: yardstick ## 4, 8 and 16 connections to PostgreSQL: the same requests to three hosts in turn, 3 minutes
	$(MEASURE) --pools

yardstick: setup
	@sh scripts/wrk.sh
	$(GUEST) $(addprefix -p ,$(COMPONENTS) guest-hello)
	$(CARGO) build --profile $(BENCH_PROFILE) -p warmlink $(addprefix -p ,$(BENCHES))

chaos: setup host components ## What it depends on is taken away under load, 7 minutes (ONLY=postgres-frozen,valkey-killed SHORT=1 ALLOW_SKIP=1)
	$(RELEASE) -p chaos
	target/release/chaos $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short)

hostile: setup host guests ## Components that mean harm, again and again, beside neighbours (REPETITIONS=10000 ROWS=spins,panics)
	$(CARGO) test --release --test hostile -p warmlink-tests -- --nocapture

monitoring: setup host components ## Rules, alerts, dashboards and the runbook against each other and what a host exports
	@sh scripts/monitoring-check.sh

alerts: setup host components ## A fleet under Prometheus and Alertmanager: the right alert reaches a webhook and clears, 18 minutes
	@python3 scripts/alerts-test.py

lint: setup ## Formatting, clippy with warnings as errors, imports that point down
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -p warmlink -p warmlink-tests -p chaos -p chance -p layers $(addprefix -p ,$(BENCHES)) -- -D warnings
	$(CARGO) clippy --profile guest --target wasm32-wasip2 -p shared $(addprefix -p ,$(COMPONENTS) $(GUESTS)) -- -D warnings
	$(CARGO) test --release -p layers

fmt: ## Format every file
	$(CARGO) fmt --all

audit: ## Licenses, bans and sources of dependencies; advisories where their database can be reached
	sh scripts/audit.sh

k8s: ## Render and check every manifest under k8s/: schemas, policy, scripts, workflows
	@sh scripts/k8s-check.sh

failover: setup host components ## The manifests' Valkeys and sentinels below a host, run here with their primary taken away, two minutes
	@python3 k8s/check/valkey_test.py

image: ## Build the image, host and components inside, by buildah or docker (IMAGE=name:tag)
	@sh scripts/image.sh

image-test: setup host components ## An image of what is built here: inspected, and served from as a cluster would
	@sh scripts/image-test.sh

deploy: ## Roll an overlay out, and back if it does not work (OVERLAY=homelab IMAGE=name@digest SMOKE_URL= YES=1)
	@test -n "$(OVERLAY)" || { echo "say which: make deploy OVERLAY=homelab" >&2; exit 64; }
	@sh scripts/deploy.sh $(OVERLAY)

seed: host ## Load DIR's users.csv, urls.csv and events.csv through the running API (URL=http://127.0.0.1:3000)
	@test -n "$(DIR)" || { echo "say where the files are: make seed DIR=path" >&2; exit 64; }
	$(WARMLINK) seed $(if $(URL),--url $(URL)) $(DIR)

burst: setup host components guests ## The incident this host exists to prevent: 500 clients at the instant the port opens
	$(TEST) -- --nocapture burst

setup: ## Install what is missing: wasm target, PostgreSQL, Valkey
	@sh scripts/setup.sh

host: ## Build the host
	$(RELEASE) -p warmlink

components: ## Build the application's components
	$(GUEST) $(addprefix -p ,$(COMPONENTS))

guests: ## Build the tests' guests
	$(GUEST) $(addprefix -p ,$(GUESTS))

clean: ## Remove what was built; data under .warmlink stays
	$(CARGO) clean
