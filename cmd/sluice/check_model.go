package main

import (
	"context"
	"fmt"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/schemas"
)

// checkModel loads runtime and model as run does and fits the mapping to it.
func checkModel(ctx context.Context, f *findings, cfg *config.Config) {
	path, runtimeVersion, err := loadRuntime(cfg)
	if err != nil {
		f.fail("runtime", err, exitDependency)
		return
	}
	f.ok("runtime", "ONNX Runtime %s from %s", runtimeVersion, path)
	m, err := loadModel(ctx, cfg, nil)
	if err != nil {
		f.fail("model", err, exitCode(err))
		return
	}
	defer m.Close() //nolint:errcheck // nothing ran that could fail to end
	f.ok("model", "%s version %s, sha256 %s", m.Name, m.Version, m.SHA256)
	f.ok("device", "%s, %d workers", m.Device, m.Workers())
	sig := m.Signature()
	if sig.Alone {
		f.warn("batching", "rows run alone: %s", sig.AloneReason)
	} else {
		f.ok("batching", "rows share a batch, up to %d%s", cfg.Model.Batch.MaxRows, fixed(sig))
	}
	if _, err := newCodec(cfg, m); err != nil {
		f.fail("schema", err, exitCode(err))
		return
	}
	f.ok("schema", "codec %s fits the model: %d inputs, %d outputs", cfg.Input.Codec, len(sig.Inputs), len(sig.Outputs))
}

func fixed(sig *schemas.Signature) string {
	if sig.FixedRows > 0 {
		return fmt.Sprintf(", padded to %d", sig.FixedRows)
	}
	return ""
}
