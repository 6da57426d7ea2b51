package onnx

import (
	"context"
	"fmt"
	"math"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/schemas"
)

// Report is what `sluice model inspect` prints.
type Report struct {
	Name    string       `json:"name"`
	Version string       `json:"version"`
	File    string       `json:"file"`
	SHA256  string       `json:"sha256"`
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
	// Verdict is batched, alone or refused; Reason says why not batched.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	// Probe says with which made-up values the verdict was found.
	Probe string `json:"probe"`
	// FixedRows is the batch size that the model insists on, 0 for any.
	FixedRows int  `json:"fixed_rows,omitempty"`
	Varying   bool `json:"varying,omitempty"`
	MaxRows   int  `json:"max_rows"`
	// Device is where it was loaded; Fallback that CUDA was asked for in vain.
	Device         string            `json:"device"`
	Fallback       bool              `json:"fallback,omitempty"`
	RuntimeVersion string            `json:"runtime_version"`
	Providers      []string          `json:"providers"`
	Labels         []string          `json:"labels,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Warnings       []string          `json:"warnings,omitempty"`
}

// TensorInfo is one input or output.
type TensorInfo struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	// Shape has -1 for a dimension that may vary, Dims its names.
	Shape []int64  `json:"shape"`
	Dims  []string `json:"dims,omitempty"`
	// BatchAxis counts rows, -1 for none.
	BatchAxis int  `json:"batch_axis"`
	Sequence  bool `json:"sequence,omitempty"`
}

// The verdicts.
const (
	VerdictBatched = "batched"
	VerdictAlone   = "alone"
	VerdictRefused = "refused"
)

// Inspect looks at a model as Load does, refused ones included.
func Inspect(ctx context.Context, cfg Config) (*Report, error) {
	o, err := open(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	defer destroyAll(o.sessions)
	r := &Report{
		Name: o.loc.name, Version: o.loc.version, File: o.loc.file, SHA256: o.sha256,
		Probe: o.probe.summary(), MaxRows: o.cfg.MaxRows, Device: devices(o.sessions), Fallback: o.fellBack,
		RuntimeVersion: RuntimeVersion(), Providers: providers(o.sessions), Labels: o.loc.labels,
	}
	for _, field := range o.loc.config.ignored {
		r.Warnings = append(r.Warnings, "config.pbtxt: "+field+" has no effect here")
	}
	if o.file.operators["DynamicQuantizeLinear"] {
		r.Warnings = append(r.Warnings, "the model quantises its activations by the batch: rows change with their neighbours")
	}
	if warning := o.uncovered(); warning != "" {
		r.Warnings = append(r.Warnings, warning)
	}
	r.judge(o)
	if r.Metadata, err = metadata(o.sessions[0].ort); err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", o.loc.file, err)
	}
	return r, nil
}

func (r *Report) judge(o *opened) {
	switch {
	case o.refused != "":
		r.Verdict, r.Reason = VerdictRefused, o.refused
		r.Inputs, r.Outputs = declared(o.probe.inputs), declared(o.probe.outputs)
		return
	case o.plan.alone:
		r.Verdict, r.Reason = VerdictAlone, o.plan.reason
	default:
		r.Verdict = VerdictBatched
	}
	sig := o.plan.signature()
	r.FixedRows, r.Varying = sig.FixedRows, sig.Varying
	r.Inputs, r.Outputs = describeSpecs(sig.Inputs, o.probe.inputs), describeSpecs(sig.Outputs, o.probe.outputs)
}

// Inputs describes the inputs with the names of their dimensions.
func (m *Model) Inputs() []TensorInfo { return describeSpecs(m.sig.Inputs, m.plan.inputs) }

func describeSpecs(specs []schemas.TensorSpec, ports []port) []TensorInfo {
	infos := declared(ports)
	for i := range specs {
		infos[i].BatchAxis = specs[i].BatchAxis
	}
	return infos
}

func declared(ports []port) []TensorInfo {
	infos := make([]TensorInfo, len(ports))
	for i := range ports {
		p := &ports[i]
		infos[i] = TensorInfo{Name: p.name, Datatype: p.typ.String(), Shape: append([]int64{}, p.dims...), BatchAxis: -1, Sequence: p.sequence}
		if slices.ContainsFunc(p.symbols, func(s string) bool { return s != "" }) {
			infos[i].Dims = p.symbols
		}
	}
	return infos
}

func providers(sessions []*session) []string {
	if sessions[0].device.cuda {
		return []string{"CUDAExecutionProvider", "CPUExecutionProvider"}
	}
	return []string{"CPUExecutionProvider"}
}

func (p *prober) summary() string {
	if p.flavour == "" {
		return "no made-up row ran"
	}
	text := p.flavour
	if varying(p.inputs, guess(p.inputs, p.outputs).axes) {
		text += ", dimensions that may vary at " + p.size
	}
	if p.rounds > 0 {
		text += fmt.Sprintf(", %d rounds", p.rounds)
	}
	return text
}

// metadata reads what the exporter wrote into the model.
func metadata(s *ort.DynamicAdvancedSession) (map[string]string, error) {
	md, err := s.GetModelMetadata()
	if err != nil {
		return nil, err
	}
	defer func() { _ = md.Destroy() }() // it exists
	all := map[string]string{}
	for key, read := range map[string]func() (string, error){
		"producer": md.GetProducerName, "graph": md.GetGraphName, "domain": md.GetDomain, "description": md.GetDescription,
	} {
		if v, err := read(); err != nil {
			return nil, err
		} else if v != "" {
			all[key] = v
		}
	}
	version, err := md.GetVersion()
	if err != nil {
		return nil, err
	}
	if version != math.MaxInt64 { // the runtime's way to say that the file has none
		all["model_version"] = fmt.Sprint(version)
	}
	keys, err := md.GetCustomMetadataMapKeys()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if v, ok, err := md.LookupCustomMetadataMap(key); err != nil {
			return nil, err
		} else if ok {
			all[key] = v
		}
	}
	return all, nil
}
