package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/telemetry"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// assemble starts the parts in the order in which their failures are cheapest.
func (s *service) assemble(ctx context.Context, deps serviceDeps) (err error) {
	s.log.Info("starting", "version", version, "group", s.cfg.Input.Group, "topics", strings.Join(s.cfg.Input.Topics, ","),
		"output", s.cfg.Output.Topic, "delivery", s.cfg.Output.Delivery)
	if s.providers, err = telemetry.Start(ctx, telemetry.Options{
		Env: deps.Env, Registry: s.registry, Logger: s.log, Version: version,
		MaxLinks: s.cfg.Model.Batch.MaxRows, SampleRatio: deps.SampleRatio,
	}); err != nil {
		return usageErrorf("%w", err)
	}
	tel := &pipeline.Telemetry{Metrics: s.registry, Tracer: s.providers.Tracer(), Logger: s.log}
	if s.admin, err = startAdmin(ctx, s); err != nil {
		return err
	}
	library, runtimeVersion, err := loadRuntime(s.cfg)
	if err != nil {
		return err
	}
	s.log.Info("runtime loaded", "onnxruntime", runtimeVersion, "library", library)
	if s.model, err = loadModel(ctx, s.cfg, tel); err != nil {
		return err
	}
	codec, err := newCodec(s.cfg, s.model)
	if err != nil {
		return err
	}
	if s.client, err = connect(s.cfg, s.log); err != nil {
		return err
	}
	meta, err := awaitTopics(ctx, s.client, s.cfg, s.log)
	if err != nil {
		return err
	}
	permitted := &clusterCheck{client: s.client, cfg: s.cfg, meta: meta, f: &findings{}, limits: map[string]int{}}
	if err := permitted.refusals(ctx); err != nil {
		return err
	}
	return s.connectParts(ctx, meta, codec, tel)
}

// connectParts makes source, sink and pipeline.
func (s *service) connectParts(ctx context.Context, meta *kafkawire.Metadata, codec *schemas.Codec, tel *pipeline.Telemetry) (err error) {
	budget := pipeline.NewBudget(int64(s.cfg.Input.MaxInFlightBytes))
	input := sourceConfig(s.cfg, budget)
	if s.cfg.Output.Delivery == config.ExactlyOnce {
		err = s.transactional(ctx, meta.ClusterID, &input, tel)
	} else if s.sink, err = producer.NewSink(s.client, sinkConfig(s.cfg, meta.ClusterID, s.model), tel); err != nil { //nolint:contextcheck // the producer lives until Close
		err = usageErrorf("%w", err)
	}
	if err != nil {
		return err
	}
	if s.source, err = consumer.NewSource(s.client, input, tel); err != nil {
		return usageErrorf("%w", err)
	}
	if s.pipeline, err = pipeline.New(pipelineConfig(s.cfg, s.model, budget), s.source, codec, s.model, s.sink, tel); err != nil {
		return usageErrorf("%w", err)
	}
	s.admin.serve(s)
	return nil
}

// loadRuntime finds and loads ONNX Runtime; it never downloads.
func loadRuntime(cfg *config.Config) (path, version string, err error) {
	if path, err = onnx.FindLibrary(cfg.Runtime.Library); err != nil {
		return "", "", err
	}
	version, err = onnx.Init(path)
	return path, version, err
}

// loadModel loads, probes and warms the model up. What is wrong with the model
// or its file is a matter of configuration; a missing device is a dependency.
func loadModel(ctx context.Context, cfg *config.Config, tel *pipeline.Telemetry) (*onnx.Model, error) {
	m, err := onnx.Load(ctx, modelConfig(cfg), tel)
	return m, modelError(ctx, err)
}

func modelError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, onnx.ErrNoLibrary), errors.Is(err, onnx.ErrNoDevice):
		return err
	default:
		return usageErrorf("model: %w; see model.path, model.version and model.sha256", err)
	}
}

func modelConfig(cfg *config.Config) onnx.Config {
	m := cfg.Model
	return onnx.Config{
		Path: m.Path, Version: m.Version, Name: m.Name, SHA256: m.SHA256, Device: m.Device,
		Workers: m.Workers, MaxRows: m.Batch.MaxRows, RunTimeout: m.RunTimeout, Independent: m.Independent,
		Labels: labelFile(m.Labels),
	}
}

// labelFile is model.labels where it names a file; otherwise it names an output.
func labelFile(labels string) string {
	if info, err := os.Stat(labels); labels != "" && err == nil && info.Mode().IsRegular() {
		return labels
	}
	return ""
}

// labelOutput is model.labels where it names an output of the model.
func labelOutput(labels string, sig *schemas.Signature) (string, error) {
	if labels == "" || labelFile(labels) != "" {
		return "", nil
	}
	var names []string
	for _, o := range sig.Outputs {
		names = append(names, o.Name)
	}
	if !slices.Contains(names, labels) {
		return "", usageErrorf("model.labels: %q is neither a file nor an output of the model; its outputs are %s", labels, strings.Join(names, ", "))
	}
	return labels, nil
}

// newCodec fits the configured mapping to the model's signature.
func newCodec(cfg *config.Config, m *onnx.Model) (*schemas.Codec, error) {
	label, err := labelOutput(cfg.Model.Labels, m.Signature())
	if err != nil {
		return nil, err
	}
	codec, err := schemas.NewCodec(schemas.CodecConfig{
		Signature: m.Signature(), ModelName: m.Name, ModelVersion: m.Version,
		Name: cfg.Input.Codec, OutputName: cfg.Output.Codec, Inputs: inputMappings(cfg.Model.Inputs),
		Rows: cfg.Model.Rows, OnMissing: cfg.Model.OnMissing, NonFinite: cfg.Model.NonFinite,
		Include: cfg.Output.Include, Labels: m.Labels, LabelOutput: label, RawOutput: cfg.Output.Raw,
	})
	if err != nil {
		return nil, usageErrorf("the configuration does not fit the model %s: %w", m.Name, err)
	}
	return codec, nil
}

func inputMappings(inputs config.Inputs) map[string]schemas.InputMapping {
	mappings := make(map[string]schemas.InputMapping, len(inputs))
	for _, in := range inputs {
		m := schemas.InputMapping{}
		if !in.List && in.Fields[0].Default == "" {
			m.Path = in.Fields[0].Pointer
		} else {
			for _, f := range in.Fields {
				field := schemas.Field{Path: f.Pointer}
				if f.Default != "" {
					field.Default = json.RawMessage(f.Default)
				}
				m.Fields = append(m.Fields, field)
			}
		}
		mappings[in.Tensor] = m
	}
	return mappings
}

func sourceConfig(cfg *config.Config, budget *pipeline.Budget) consumer.Config {
	in, tuning := cfg.Input, cfg.Kafka.Tuning
	return consumer.Config{
		Topics: in.Topics, Group: in.Group, Instance: in.Instance,
		Start: consumer.Start(in.Start), OutOfRange: consumer.OutOfRange(in.OutOfRange),
		ReadUncommitted: in.Isolation == "read_uncommitted",
		SessionTimeout:  in.SessionTimeout, RebalanceTimeout: in.RebalanceTimeout,
		MaxInFlight: in.MaxInFlight, MaxInFlightBytes: int64(in.MaxInFlightBytes), MaxUncommitted: in.MaxUncommitted,
		CommitInterval: in.CommitInterval, StartupWait: max(cfg.Startup.Wait, time.Second),
		Unordered: cfg.Output.Order == string(pipeline.OrderNone),
		FetchWait: tuning.FetchMaxWait, FetchBytes: tuning.PartitionFetchBytes, WatchInterval: tuning.MetadataMaxAge,
		Budget: budget,
	}
}

func sinkConfig(cfg *config.Config, clusterID string, m *onnx.Model) producer.SinkConfig {
	compression, err := kafkawire.ParseCodec(cfg.Output.Compression)
	if err != nil {
		panic("BUG: output.compression was checked: " + err.Error())
	}
	return producer.SinkConfig{
		Topic: cfg.Output.Topic, DeadLetterTopic: cfg.DeadLetter.Topic, Partition: cfg.Output.Partition,
		Timestamp: cfg.Output.Timestamp, Lineage: cfg.Output.Lineage, Compression: compression, Linger: cfg.Output.Linger,
		Producer: producer.ProducerConfig{BatchBytes: cfg.Kafka.Tuning.BatchBytes},
		Group:    cfg.Input.Group, ClusterID: clusterID,
		ModelName: m.Name, ModelVersion: m.Version, ModelSHA256: m.SHA256, Runtime: "onnxruntime-" + m.RuntimeVersion,
		DeadLetter: producer.DeadLetterConfig{
			OnError: cfg.DeadLetter.OnError, Expired: cfg.DeadLetter.Expired,
			MaxShare: cfg.DeadLetter.MaxShare, Window: cfg.DeadLetter.Window, MinItems: cfg.DeadLetter.MinItems,
		},
	}
}

func pipelineConfig(cfg *config.Config, m *onnx.Model, budget *pipeline.Budget) pipeline.Config {
	return pipeline.Config{
		MaxInFlight: cfg.Input.MaxInFlight, Budget: budget, Workers: m.Workers(),
		MaxRows: cfg.Model.Batch.MaxRows, MaxDelay: cfg.Model.Batch.MaxDelay, RunTimeout: cfg.Model.RunTimeout,
		DrainTimeout: cfg.Shutdown.DrainTimeout, Order: pipeline.Order(cfg.Output.Order),
		Tombstones: pipeline.Tombstones(cfg.Input.Tombstones), Expired: pipeline.ExpiredPolicy(cfg.DeadLetter.Expired),
		OnError: pipeline.OnError(cfg.DeadLetter.OnError), ModelName: m.Name, ModelVersion: m.Version, Group: cfg.Input.Group,
		Destination: destination(cfg),
	}
}

// destination names the topic an outcome goes to, as the sink will choose it.
func destination(cfg *config.Config) func(*pipeline.Item) string {
	letters := map[string]string{}
	for _, topic := range cfg.Input.Topics {
		letters[topic] = cfg.DeadLetterTopic(topic)
	}
	return func(it *pipeline.Item) string {
		if it.Err != nil {
			return letters[it.Topic]
		}
		return cfg.Output.Topic
	}
}

// promise is the sentence of a delivery level.
func promise(cfg *config.Config) string {
	if cfg.Output.Delivery == config.ExactlyOnce {
		return exactlyOncePromise(cfg)
	}
	return fmt.Sprintf("at-least-once: no input without an outcome, and retries of a produce make no duplicates; "+
		"after a crash or a lost partition an outcome may come twice, at most %d of them", 2*cfg.Input.MaxInFlight)
}
