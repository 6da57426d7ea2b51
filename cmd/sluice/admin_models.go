package main

import (
	"encoding/json"
	"net/http"

	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

// modelMetadata is the Open Inference Protocol's answer about a model.
type modelMetadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions"`
	Platform string           `json:"platform"`
	Inputs   []tensorMetadata `json:"inputs"`
	Outputs  []tensorMetadata `json:"outputs"`
	// Parameters are ours: which file and where it runs.
	Parameters map[string]string `json:"parameters,omitempty"`
}

type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

func describeModel(m *onnx.Model) modelMetadata {
	return modelMetadata{
		Name: m.Name, Versions: []string{m.Version}, Platform: "onnxruntime_onnx",
		Inputs: describeTensors(m.Signature().Inputs), Outputs: describeTensors(m.Signature().Outputs),
		Parameters: map[string]string{"sha256": m.SHA256, "device": m.Device, "onnxruntime": m.RuntimeVersion},
	}
}

func describeTensors(specs []schemas.TensorSpec) []tensorMetadata {
	all := make([]tensorMetadata, len(specs))
	for i, s := range specs {
		all[i] = tensorMetadata{s.Name, s.Type.String(), append([]int64{}, s.Shape...)}
	}
	return all
}

// modelRoutes adds v2 and v2/models: metadata and readiness, no inference.
func (a *admin) modelRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"name": "sluice", "version": version, "extensions": []string{}})
	})
	metadata := a.withModel(func(w http.ResponseWriter, m *onnx.Model) { reply(w, http.StatusOK, describeModel(m)) })
	ready := a.withModel(func(w http.ResponseWriter, m *onnx.Model) {
		ok := len(a.unready(false)) == 0
		reply(w, statusOf(ok), map[string]any{"name": m.Name, "ready": ok})
	})
	mux.HandleFunc("GET /v2/models/{model}", metadata)
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}", metadata)
	mux.HandleFunc("GET /v2/models/{model}/ready", ready)
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/ready", ready)
}

// withModel finds the model that a path names.
func (a *admin) withModel(f func(http.ResponseWriter, *onnx.Model)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := a.running.Load()
		switch {
		case s == nil && r.PathValue("model") == a.cfg.Model.Name:
			reply(w, http.StatusServiceUnavailable, map[string]string{"error": "model " + a.cfg.Model.Name + " is being loaded"})
		case s == nil || r.PathValue("model") != s.model.Name || (r.PathValue("version") != "" && r.PathValue("version") != s.model.Version):
			reply(w, http.StatusNotFound, map[string]string{"error": "no such model; there is " + a.cfg.Model.Name})
		default:
			f(w, s.model)
		}
	}
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the reader has gone
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the reader has gone
}
