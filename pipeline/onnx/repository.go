package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoModel says that the model's file was not found.
var ErrNoModel = errors.New("model not found")

// location is where a model lies and what its repository says about it.
type location struct {
	file, name, version string
	labels              []string
	config              modelConfig
}

// locate finds the model's file: a file is taken as it is, with version 1; a
// folder is <name>/<version>/model.onnx, as Triton lays its repositories out.
func locate(cfg *Config) (*location, error) {
	info, err := os.Stat(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: model.path: %w", ErrNoModel, err)
	}
	loc := &location{name: cfg.Name}
	if !info.IsDir() {
		if cfg.Version != "" && cfg.Version != "latest" && cfg.Version != "1" {
			return nil, fmt.Errorf("%w: %s is a single file, which has version 1, not %s", ErrNoModel, cfg.Path, cfg.Version)
		}
		loc.file, loc.version = cfg.Path, "1"
		if loc.name == "" {
			loc.name = strings.TrimSuffix(filepath.Base(cfg.Path), filepath.Ext(cfg.Path))
		}
	} else if err := loc.inRepository(cfg); err != nil {
		return nil, err
	}
	labels := cfg.Labels
	if labels == "" && loc.config.labelFilename != "" {
		if labels, err = loc.config.inFolder(cfg.Path, loc.config.labelFilename); err != nil {
			return nil, err
		}
	}
	if labels != "" {
		if loc.labels, err = readLabels(labels); err != nil {
			return nil, err
		}
	}
	return loc, nil
}

func (loc *location) inRepository(cfg *Config) error {
	pbtxt := filepath.Join(cfg.Path, "config.pbtxt")
	if text, err := os.ReadFile(pbtxt); err == nil {
		parsed, err := parseModelConfig(string(text))
		if err != nil {
			return fmt.Errorf("read %s: %w", pbtxt, err)
		}
		loc.config = *parsed
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the model's configuration: %w", err)
	}
	versions, err := versionFolders(cfg.Path)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return fmt.Errorf("%w: %s has no version folder: the layout is %s/1/model.onnx", ErrNoModel, cfg.Path, cfg.Path)
	}
	version := versions[len(versions)-1]
	if cfg.Version != "" && cfg.Version != "latest" {
		n, err := strconv.Atoi(cfg.Version)
		if err != nil {
			return fmt.Errorf("model.version is %q: latest or a number", cfg.Version)
		}
		if !slices.Contains(versions, n) {
			return fmt.Errorf("%w: %s has versions %v, not %d", ErrNoModel, cfg.Path, versions, n)
		}
		version = n
	}
	loc.version = strconv.Itoa(version)
	file := loc.config.file
	if file == "" {
		file = "model.onnx"
	}
	if loc.file, err = loc.config.inFolder(filepath.Join(cfg.Path, loc.version), file); err != nil {
		return err
	}
	if err := regularFile(loc.file); err != nil {
		return fmt.Errorf("%w: %w", ErrNoModel, err)
	}
	if loc.name == "" {
		loc.name = loc.config.name
	}
	if loc.name == "" {
		absolute, err := filepath.Abs(cfg.Path)
		if err != nil {
			return fmt.Errorf("name the model after its folder: %w", err)
		}
		loc.name = filepath.Base(absolute)
	}
	return nil
}

// inFolder joins a name that config.pbtxt gives: it comes with the model, and
// may not reach out of the model's folder.
func (c *modelConfig) inFolder(folder, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%w: config.pbtxt names the file %q, which is not in the model's folder", ErrUnsafe, clean(name))
	}
	return filepath.Join(folder, name), nil
}

// versionFolders lists the numbered folders in ascending order.
func versionFolders(path string) ([]int, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoModel, err)
	}
	var versions []int
	for _, e := range entries {
		// Version folders may be links, as Kubernetes mounts them; "01" is not 1.
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && strconv.Itoa(n) == e.Name() {
			versions = append(versions, n)
		}
	}
	slices.Sort(versions)
	return versions, nil
}
