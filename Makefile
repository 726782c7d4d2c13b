# demo   from a clean clone to a page of pairs      test   everything that proves it
# lint   ruff and mypy                               bench  the tables of speed for this machine, beside the paper's
# quality the rows of quality on true pairs, anew     tables what README.md and docs/ show of the committed rows
# docs   the documentation as a site: build/site/index.html
# worth  an SR network trained on each kind's pairs, and its table (needs the corpus, as quality does: DATA=…)
# bench-gpu  every check and benchmark of a GPU, on a machine that has one; rows go into bench/results/gpu.jsonl
# Everything is installed into .venv; nothing outside this folder changes.
PYTHON ?= python3
# PyPI's Linux wheel of torch carries CUDA and is large; this index offers one for CPUs. Where it cannot be
# reached, pip warns and takes PyPI's.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
CHECKPOINT ?= originals/checkpoints/realdgen-tiny.safetensors
OUT ?= out

SHELL := bash
.DEFAULT_GOAL := demo
.PHONY: hashes demo test test-slow lint types docs tables quality bench worth bench-gpu gpu-rows clean

BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet -c constraints.txt
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard kernels/*.cpp kernels/*.h kernels/*.hpp kernels/*.cu*) kernels/nvcc.options
FOLDERS := engine kernels calib export originals bench

# What comes with hashes: the tools that build, what the tests need, and torch's wheels for the machine that CI has: the
# one for CPUs, or else PyPI's. The files name all that these need, so nothing is resolved. What follows them, by
# constraints.txt alone, finds everything there, but on other machines: torch, and what is needed on those alone.
TOOLS := scikit-build-core cmake ninja setuptools
HASHED := $(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --require-hashes
TORCH := --no-deps --retries 1 --timeout 30 --extra-index-url "$(TORCH_INDEX)"

# The package is editable, so only its settings and its C++ sources call for a new installation. Packages are built
# without isolation: ours by scikit-build-core, pyvips (a source archive) by a setuptools newer than Python 3.11's own.
.venv/base: constraints.txt .ci/build.txt .ci/torch-cpu.txt .ci/torch.txt
	@set -eu; echo "Installing into .venv; torch is the large part"; \
	$(PYTHON) -m venv .venv; \
	$(HASHED) -r .ci/build.txt; \
	$(HASHED) $(TORCH) -r .ci/torch-cpu.txt || { echo "Taking PyPI's torch instead"; $(HASHED) -r .ci/torch.txt; }; \
	$(PIP) $(TORCH) torch; \
	touch $@; printf '== done in %d s\n' $$SECONDS

.venv/demo: .venv/base $(SOURCES)
	@set -eu; echo "Installing the package and what the demo needs"; \
	$(PIP) --no-build-isolation -e '.[cpu,train]'; \
	touch $@; printf '== done in %d s\n' $$SECONDS

EXTRAS := cpu,train,test,metrics,rtx,openvino,docs
.venv/test: .venv/base .ci/test.txt $(SOURCES)
	@set -eu; echo "Installing the package and what the tests need"; \
	$(HASHED) -r .ci/test.txt; \
	$(PIP) --no-build-isolation -e '.[$(EXTRAS)]'; \
	touch $@ .venv/demo .venv/bench; printf '== done in %d s\n' $$SECONDS

# openvino alone may be missing for a machine: then there is no bf16.
.venv/bench: .venv/base $(SOURCES)
	@set -eu; echo "Installing the package and what the benchmarks need"; \
	$(PIP) --no-build-isolation -e '.[cpu,train,metrics]'; \
	$(PIP) 'openvino>=2024.4' || echo "left out: openvino, so no bf16" >&2; \
	touch $@ .venv/demo; printf '== done in %d s\n' $$SECONDS

demo: .venv/demo
	@set -eu; began=$$SECONDS; \
	step() { local start=$$SECONDS; printf '\n== %s\n' "$$*"; "$$@"; printf '== done in %d s\n' $$((SECONDS - start)); }; \
	rm -rf "$(OUT)/bundle" "$(OUT)/engine" "$(OUT)/pairs" "$(OUT)/report.html"; \
	step $(BIN)/degrade-engine export "$(CHECKPOINT)" -o "$(OUT)/bundle"; \
	step $(BIN)/degrade-engine build "$(OUT)/bundle" --precision fp32 --backend auto --lr-size 128 --batch 4 \
		--candidates 3 -o "$(OUT)/engine"; \
	step $(BIN)/degrade-engine generate --engine "$(OUT)/engine" --hr samples/hr --reference samples/reference \
		--out "$(OUT)/pairs" --pairs 24; \
	step $(BIN)/degrade-engine report "$(OUT)/pairs" -o "$(OUT)/report.html"; \
	printf '\nThe pairs: %s\nThe page:  %s\nFrom checkpoint to page it took %d s.\n' "$(abspath $(OUT)/pairs)" \
		"$(abspath $(OUT)/report.html)" $$((SECONDS - began))

# Two processes: most of a test's time is one core's, and the networks' threads are few. A process that dies ends the run:
# with another one in its place, the rest would wait for ever. SlipCover notes which lines were run: it rewrites bytecode,
# and so costs less than coverage.py's trace, which takes a quarter of the time.
COVERAGE := build/coverage.json
test: .venv/test lint
	@mkdir -p build
	$(BIN)/python -m slipcover --json --out $(COVERAGE) -m pytest -q --numprocesses 2 --max-worker-restart 0 \
		--dist loadgroup --no-loadscope-reorder
	@$(BIN)/python .ci/coverage.py $(COVERAGE)

# And the cases of a folder, where there is one, with an engine of the demo.
CASES ?= ../shared/cases
test-slow: .venv/test
	@if [ -d "$(CASES)" ]; then $(MAKE) demo OUT="$(OUT)/cases"; fi
	@set -eu; if [ -d "$(CASES)" ]; then \
		export CASES="$(abspath $(CASES))" DE_ENGINE="$(abspath $(OUT)/cases/engine)"; \
	else unset CASES; fi; \
	$(BIN)/pytest -q -m slow

lint: .venv/test types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

# The package as it is when installed, laid out in links, for mypy.
types:
	@rm -rf build/types
	mkdir -p build/types/degrade_engine
	ln -s "$(CURDIR)"/degrade_engine/* $(addprefix "$(CURDIR)"/,$(FOLDERS)) build/types/degrade_engine/

# Nothing is fetched; a broken link or a warning ends it.
docs: .venv/test types
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The site: $(CURDIR)/build/site/index.html (its search needs a server: python3 -m http.server -d build/site)"

tables: .venv/test
	$(BIN)/degrade-engine bench tables

# Every row of bench/results/quality.jsonl anew, on the development corpus, then those that the sets lack; each run says
# beforehand how long it will take. NEW=--new leaves the rows that are whole.
DATA ?= ../shared/data
QUALITY = $(BIN)/degrade-engine bench papers quality --data "$(DATA)" -o bench/results/quality.jsonl
quality: .venv/test
	@set -eu; at="$(OUT)/quality"; mkdir -p "$$at"; given=; \
	for name in realdgen-tiny realdgen-small syndiff-canon uddm-tiny lway-tiny; do \
		$(BIN)/degrade-engine export originals/checkpoints/$$name.safetensors -o "$$at/bundle-$$name"; \
		$(BIN)/degrade-engine build "$$at/bundle-$$name" --batch 10 -o "$$at/$$name"; \
		given="$$given --engine $$at/$$name"; \
	done; \
	$(BIN)/degrade-engine build "$$at/bundle-realdgen-tiny" --batch 10 --candidates 1 -o "$$at/one"; \
	given="$$given --weights bench/results/binned-canon.json --checkpoint $(CHECKPOINT)"; \
	one="--engine $$at/one --checkpoint $(CHECKPOINT) --features-from $$at/realdgen-tiny"; \
	$(QUALITY) $$given --engine "$$at/one" --again bench/results/quality.jsonl $(NEW); \
	$(QUALITY) $$given --set table3 --set table5 --set table7 --new; \
	$(QUALITY) $$one --set curve --new; \
	$(QUALITY) $$one --scenes 10 --set table4 --new
	$(MAKE) tables

# Speed on this machine, and a page of it. PAIRS=FOLDER (HR/ and LR/, true pairs) gives Table 12 its PSNR. So are the
# README's rows made, but that `bench latency` has an engine of each other kind too; then `cp` of the rows to
# bench/results and `make tables`.
bench:
	@echo "About 11 minutes on two cores after installing: the demo 1, speed 3, table12 4, latency 3"
	$(MAKE) .venv/bench demo
	@set -eu; at="$(OUT)/bench"; mkdir -p "$$at"; rm -f "$$at"/*.jsonl; bf16=; also=; \
	$(BIN)/degrade-engine export originals/checkpoints/syndiff-canon.safetensors -o "$$at/bundle-syndiff"; \
	$(BIN)/degrade-engine build "$$at/bundle-syndiff" --lr-size 128 --batch 4 -o "$$at/syndiff"; \
	if $(BIN)/degrade-engine build "$(OUT)/bundle" --precision bf16 --lr-size 128 --batch 4 --candidates 3 \
		-o "$$at/bf16"; then bf16="$$at/bf16" also="--also $$at/bf16"; else echo "Going on without bf16" >&2; fi; \
	$(BIN)/degrade-engine build "$(OUT)/bundle" --precision int8 --lr-size 128 --batch 4 --candidates 3 -o "$$at/int8"; \
	$(BIN)/degrade-engine bench speed "$(CHECKPOINT)" --engine "$(OUT)/engine" $$also --also "$$at/int8" -o "$$at/speed.jsonl"; \
	$(BIN)/degrade-engine bench table12 "$(CHECKPOINT)" --engine "$(OUT)/engine" --syndiff "$$at/syndiff" $$also \
		$(if $(PAIRS),--pairs "$(PAIRS)") -o "$$at/table12.jsonl"; \
	$(BIN)/degrade-engine bench latency "$(OUT)/engine" $$bf16 -o "$$at/latency.jsonl"; \
	$(BIN)/degrade-engine bench tables --rows "$$at" -o "$$at/tables.md"; \
	printf '\nThe tables: %s\n' "$(abspath $(OUT)/bench/tables.md)"

# The hashes anew, after a change of constraints.txt or of the extras. Run it on Linux, x86_64, Python 3.11, where torch's
# wheel for CPUs can be had: its hash for that machine alone is known, so other machines take torch without one.
UV := build/hashes/uv/bin/uv pip compile - --no-deps --generate-hashes --universal --python-version 3.11.5 --no-header \
	--no-annotate --quiet
CI_MACHINE := sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '3.11'
hashes: .venv/base $(SOURCES)
	@set -euo pipefail; $(PIP) --no-build-isolation -e '.[$(EXTRAS)]'; \
	at=build/hashes; rm -rf $$at; $(PYTHON) -m venv $$at/uv; $$at/uv/bin/pip install --quiet uv; \
	note='# SHA-256 of all files that PyPI has of each. Made by `make hashes`; what is in it: see the Makefile.'; \
	{ echo "$$note"; $(BIN)/python .ci/closure.py $(TOOLS) | $(UV); } > $$at/build.txt; \
	{ echo "$$note"; $(BIN)/python .ci/closure.py 'degrade-engine[$(EXTRAS)]' | $(UV); } > $$at/test.txt; \
	$(BIN)/pip download --quiet -c constraints.txt $(TORCH) -d $$at torch; cpu=$$(cd $$at; ls torch-*+cpu-*.whl); \
	torch=$$(grep ^torch== constraints.txt); \
	{ echo "$$note"; echo "$$torch ; $(CI_MACHINE)" | $(UV); } > $$at/torch.txt; \
	{ echo "# SHA-256 of $$cpu. Made by \`make hashes\`."; \
		echo "$$torch+cpu ; $(CI_MACHINE) --hash=sha256:$$(sha256sum < "$$at/$$cpu" | cut -c1-64)"; } > $$at/torch-cpu.txt; \
	mv $$at/build.txt $$at/test.txt $$at/torch.txt $$at/torch-cpu.txt .ci/

# What the pairs of each kind are worth, on the development corpus. A stopped run goes on.
WORTH = $(BIN)/degrade-engine bench papers worth --data "$(DATA)" --generator bicubic --generator 'true pairs' \
	--generator realdgen=realdgen-tiny --generator onecall=realdgen-small --generator lway=lway-tiny
BINS := --weights bench/results/binned-canon.json
worth: .venv/bench
	@set -eu; at="$(OUT)/worth"; mkdir -p "$$at"; \
	$(WORTH) --camera drealsr --work "$$at/unseen" -o "$$at/worth_unseen.jsonl"; \
	$(WORTH) --camera canon --work "$$at/canon" -o "$$at/worth.jsonl" --picture "$$at/worth.svg" \
		--generator 'bicubic, Gaussian sigma 0.5=blur-bicubic' --generator bsrgan --generator realesrgan \
		--generator 'binned=binned $(BINS)' --generator uddm=uddm-tiny --generator syndiff=syndiff-canon \
		--generator 'syndiff, start binned=syndiff-canon --start binned --tau 20 --steps 2 $(BINS)'; \
	$(BIN)/degrade-engine bench tables --rows "$$at" -o "$$at/tables.md"; \
	printf '\nThe table: %s\n' "$(abspath $(OUT)/worth/tables.md)"

# Its own environment: onnxruntime-gpu takes the place of onnxruntime. It takes what the machine has (a container's torch
# and TensorRT), then a folder of wheels (WHEELS=FOLDER) or else the package registry. What cannot be installed is left
# out, and a row says so: nothing here ends it before its first row.
GPU_PIP := .venv-gpu/bin/python -m pip --disable-pip-version-check install --quiet \
	$(if $(WHEELS),--no-index --find-links "$(abspath $(WHEELS))",--retries 1 --timeout 30)
GPU_PACKAGES := 'cuda-bindings>=12.6,<14' 'pycuda>=2024.1,<2027' 'polygraphy>=0.49,<1' 'tensorrt>=10.12,<11' \
	'tensorrt-rtx>=1.2,<2' 'onnxruntime-gpu[cuda,cudnn]>=1.31,<1.32'
GPU_ROWS ?= bench/results/gpu.jsonl
bench-gpu: types
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libnvidia-ml.so.1")' 2> /dev/null || { \
		echo "bench-gpu needs an NVIDIA GPU with its driver, and there is none here: nothing was run" >&2; exit 1; }
	@$(MAKE) --no-print-directory gpu-rows

gpu-rows:
	@left=(); get() { echo "Installing $$*"; said=$$($(GPU_PIP) -c constraints.txt "$$@" 2>&1) || said=$$($(GPU_PIP) "$$@" 2>&1) || { \
		echo "left out: $$(echo "$$said" | grep . | tail -n 1)" >&2; left+=(--left-out "$$*"); return 1; }; }; \
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv --system-site-packages .venv-gpu; \
	get scikit-build-core cmake ninja setuptools; \
	get --no-deps $(if $(WHEELS),,--extra-index-url "$(TORCH_INDEX)") torch; \
	get --no-build-isolation -e '.[train,test,metrics]' || get --no-build-isolation -e . || \
		get --no-build-isolation --no-deps -e . || export PYTHONPATH="$(CURDIR)/build/types" PYTHONSAFEPATH=1; \
	for package in $(GPU_PACKAGES); do get "$$package" || true; done; \
	said=$$(.venv-gpu/bin/python -c 'import degrade_engine.bench.gpu.gpu' 2>&1 | tail -n 1); \
	if [ -n "$$said" ]; then mkdir -p "$(dir $(GPU_ROWS))"; \
		printf '{"part": "install", "failed": "%s"}\n' "$${said//\"/}" >> "$(GPU_ROWS)"; \
		echo "The package does not load: $$said. A row in $(GPU_ROWS) says so" >&2; exit 1; fi; \
	.venv-gpu/bin/python -m degrade_engine bench gpu "$(CHECKPOINT)" "$${left[@]}" -o "$(GPU_ROWS)"

clean:
	rm -rf .venv .venv-gpu build "$(OUT)/bundle" "$(OUT)/engine" "$(OUT)/pairs" "$(OUT)/report.html"
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
