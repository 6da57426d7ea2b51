package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// memoryTag begins the location that ONNX Runtime takes for an address in its
// own memory, with the offset as the pointer.
const memoryTag = "_ORT_MEM_ADDR_"

// externalFile finds the file of a tensor's external data and holds its size
// against the tensor's. It must be a regular file below the model's folder, by
// its own name and by where links lead; links within the folder are how
// Kubernetes mounts volumes. A hard link could be any file of the disk.
func externalFile(folder string, entries map[string]string, size uint64) (string, error) {
	location := entries["location"]
	switch {
	case location == "":
		return "", errors.New("external data without a location")
	case strings.ContainsRune(location, 0), strings.Contains(location, memoryTag):
		return "", fmt.Errorf("external data at %q, which is no file's name", clean(location))
	case !filepath.IsLocal(location):
		return "", fmt.Errorf("external data at %q, which leaves the model's folder; only a file below it is read", clean(location))
	}
	path := filepath.Join(folder, location)
	if err := within(folder, path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("external data: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("external data at %q, which is not a regular file", clean(location))
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		return "", fmt.Errorf("external data at %q, which has another name elsewhere (a hard link); copy it", clean(location))
	}
	offset, err := number(entries, "offset", 0)
	if err != nil {
		return "", err
	}
	length, err := number(entries, "length", size)
	if err != nil {
		return "", err
	}
	if length != size {
		return "", fmt.Errorf("external data of %d bytes, %d are needed", length, size)
	}
	if have := uint64(info.Size()); offset > have || length > have-offset {
		return "", fmt.Errorf("external data from byte %d to %d of %q, which has %d", offset, offset+length, clean(location), have)
	}
	return path, nil
}

// within follows links.
func within(folder, path string) error {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return fmt.Errorf("external data: %w", err)
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("external data: %w", err)
	}
	relative, err := filepath.Rel(root, target)
	if err != nil || !filepath.IsLocal(relative) {
		return fmt.Errorf("external data at %q, a link that leaves the model's folder", clean(filepath.Base(path)))
	}
	return nil
}

func number(entries map[string]string, key string, otherwise uint64) (uint64, error) {
	text, ok := entries[key]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("external data with the %s %q, which is not a count of bytes", key, clean(text))
	}
	return n, nil
}
