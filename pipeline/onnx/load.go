package onnx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// ErrRefused says that no way of running the model gives each item its own
// answer.
var ErrRefused = errors.New("the model cannot be run safely")

// Model is a pipeline.Model on ONNX Runtime. Safe for concurrent use: at most
// Workers runs go on at once, further ones wait.
type Model struct {
	// Name, Version and SHA256 (in hex) tell which model this is.
	Name, Version, SHA256 string
	// Device is cpu, or the devices, such as cuda:0,cuda:1.
	Device string
	// RuntimeVersion is ONNX Runtime's.
	RuntimeVersion string
	// Labels are the class labels of its label file, nil without one.
	Labels []string

	sig      *schemas.Signature
	plan     *plan
	maxRows  int
	workers  int
	sessions []*session
	warm     []schemas.Tensor // one row that runs, nil when none is known

	buffers chan *workerBuffers // the free ones; holds all of them when idle

	life   sync.RWMutex // held for reading by every run
	closed bool
}

var (
	_ pipeline.Model      = (*Model)(nil)
	_ pipeline.SelfTester = (*Model)(nil)
)

// Load finds, checks, probes and warms up a model. Init must have been called.
// It takes as long as some dozens of runs of the model.
func Load(ctx context.Context, cfg Config, tel *pipeline.Telemetry) (*Model, error) {
	o, err := open(ctx, cfg, tel)
	if err != nil {
		return nil, err
	}
	if o.refused != "" {
		destroyAll(o.sessions)
		return nil, fmt.Errorf("%w: %s: %s", ErrRefused, o.loc.file, o.refused)
	}
	m, err := o.model(ctx)
	if err != nil {
		destroyAll(o.sessions)
		return nil, err
	}
	return m, nil
}

// opened is a model that was looked at, and may turn out to be refused.
type opened struct {
	cfg      Config
	log      *slog.Logger
	loc      *location
	path     string // what is checked and loaded: the file, or its private copy
	private  string // the copy's folder, "" without one
	sha256   string
	file     *modelFile
	sessions []*session
	fellBack bool
	probe    *prober
	plan     *plan
	warm     []schemas.Tensor
	refused  string
}

func open(ctx context.Context, cfg Config, tel *pipeline.Telemetry) (*opened, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if RuntimeVersion() == "" {
		return nil, fmt.Errorf("%w: the runtime is not loaded: call Init first", ErrNoLibrary)
	}
	o := &opened{cfg: cfg.withDefaults(), log: slog.New(slog.DiscardHandler)}
	reg := metrics.NewRegistry()
	if tel != nil && tel.Logger != nil {
		o.log = tel.Logger
	}
	if tel != nil && tel.Metrics != nil {
		reg = tel.Metrics
	}
	fallbacks := reg.Counter("sluice_device_fallback", "Models that run on the CPU because CUDA could not start.").With()
	defer o.disclose()
	if err := o.find(); err != nil {
		return nil, err
	}
	inputs, outputs, err := describe(o.path, o.file)
	if err != nil {
		return nil, err
	}
	o.sessions, o.fellBack, err = openSessions(o.path, inputs, outputs, &o.cfg, o.log)
	if err != nil {
		return nil, err
	}
	if o.fellBack {
		fallbacks.Add(1)
	}
	if err := o.examine(ctx, inputs, outputs); err != nil {
		destroyAll(o.sessions)
		return nil, err
	}
	return o, nil
}

// find locates the file and verifies it before the runtime sees it.
func (o *opened) find() (err error) {
	if o.loc, err = locate(&o.cfg); err != nil {
		return err
	}
	for _, field := range o.loc.config.ignored {
		o.log.Warn("config.pbtxt: field has no effect here", "model", o.loc.name, "field", field)
	}
	if o.sha256, err = digest(o.loc.file, o.cfg.SHA256); err != nil {
		return err
	}
	if o.file, err = readModelFile(o.loc.file); err != nil {
		return err
	}
	if o.enclose(o.file.external); o.private != "" { // what counts is what the copy says
		if o.sha256, err = digest(o.path, o.cfg.SHA256); err == nil {
			o.file, err = readModelFile(o.path)
		}
		if err != nil {
			return fmt.Errorf("private copy of %s: %w", o.loc.file, err)
		}
	}
	o.log.Info("model found", "model", o.loc.name, "version", o.loc.version, "file", o.loc.file, "sha256", o.sha256)
	if warning := o.uncovered(); warning != "" {
		o.log.Warn(warning, "model", o.loc.name)
	}
	return nil
}

// uncovered warns of weights that the digest says nothing about.
func (o *opened) uncovered() string {
	if len(o.file.external) == 0 || o.cfg.SHA256 == "" {
		return ""
	}
	return "model.sha256 does not cover the weights in files beside the model"
}

// examine decides how the model is run.
func (o *opened) examine(ctx context.Context, inputs, outputs []port) (err error) {
	if o.file.operators["DynamicQuantizeLinear"] {
		o.log.Warn("the model quantises its activations by the batch: rows change with their neighbours", "model", o.loc.name)
	}
	if o.loc.config.maxBatchSize > 0 {
		o.cfg.MaxRows = min(o.cfg.MaxRows, o.loc.config.maxBatchSize)
	}
	o.probe = &prober{session: o.sessions[0], inputs: inputs, outputs: outputs, independent: o.cfg.Independent, timeout: o.cfg.RunTimeout}
	o.plan, o.warm, o.refused, err = o.probe.decide(ctx)
	if err != nil || o.refused != "" {
		return err
	}
	if !o.plan.alone {
		switch {
		case o.cfg.Independent == independentFalse:
			o.plan.alone, o.plan.reason = true, "configured: model.independent is false"
		case o.loc.config.hasMaxBatch && o.loc.config.maxBatchSize == 0:
			o.plan.alone, o.plan.reason = true, "configured: config.pbtxt says max_batch_size: 0"
		}
	}
	if o.plan.alone {
		o.log.Warn("rows run alone", "model", o.loc.name, "reason", o.plan.reason)
	}
	return nil
}

// model makes the buffers and warms them up.
func (o *opened) model(ctx context.Context) (*Model, error) {
	m := &Model{
		Name: o.loc.name, Version: o.loc.version, SHA256: o.sha256, Device: devices(o.sessions),
		RuntimeVersion: RuntimeVersion(), Labels: o.loc.labels,
		sig: o.plan.signature(), plan: o.plan, maxRows: o.cfg.MaxRows, sessions: o.sessions, warm: o.warm,
	}
	m.workers = o.cfg.Workers
	if m.workers == 0 {
		m.workers = len(o.sessions)
		if !o.sessions[0].device.cuda {
			m.workers = runtime.GOMAXPROCS(0)
		}
	}
	m.buffers = make(chan *workerBuffers, m.workers)
	for i := range m.workers {
		w, err := newWorkerBuffers(o.sessions[i%len(o.sessions)], o.plan)
		if err != nil {
			m.freeBuffers()
			return nil, err
		}
		m.buffers <- w
	}
	if err := m.warmUp(ctx, o.cfg.RunTimeout); err != nil {
		m.freeBuffers()
		return nil, err
	}
	o.log.Info("model loaded", "model", m.Name, "version", m.Version, "sha256", m.SHA256, "device", m.Device,
		"runtime", m.RuntimeVersion, "workers", m.workers, "max_rows", m.maxRows, "alone", o.plan.alone)
	return m, nil
}

func devices(sessions []*session) string {
	name := ""
	for i, s := range sessions {
		if i > 0 {
			name += ","
		}
		name += s.device.name
	}
	return name
}

// Signature tells what decoding, batching and encoding must know.
func (m *Model) Signature() *schemas.Signature { return m.sig }

// Workers is how many runs go on at once.
func (m *Model) Workers() int { return m.workers }

// Close waits for the runs that go on, then frees the model. Runs that come
// later return ErrClosed.
func (m *Model) Close() error {
	m.life.Lock()
	defer m.life.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.freeBuffers() // no run holds one: all are in the list
	destroyAll(m.sessions)
	return nil
}

func (m *Model) freeBuffers() {
	for {
		select {
		case w := <-m.buffers:
			w.free()
		default:
			return
		}
	}
}
