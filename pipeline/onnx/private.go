package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// privateCopy copies a model and the files beside it that hold weights into a folder
// of its own when others may write to them: what was checked is then what is loaded.
// "" is no copy, as nobody else can change anything. The folder is to be removed as
// soon as the runtime has loaded the model.
func privateCopy(file string, external []string) (folder, path string, err error) {
	open := exposed(file)
	for _, weights := range external {
		open = open || exposed(weights)
	}
	if !open {
		return "", file, nil
	}
	if folder, err = os.MkdirTemp("", "sluice-model-"); err != nil { // mode 0700
		return "", file, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
			folder, path = "", file
		}
	}()
	home := filepath.Dir(file)
	for _, from := range append([]string{file}, external...) {
		below, err := filepath.Rel(home, from)
		if err != nil {
			return folder, file, err
		}
		to := filepath.Join(folder, below)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return folder, file, err
		}
		if err := copyFile(from, to); err != nil {
			return folder, file, err
		}
	}
	return folder, filepath.Join(folder, filepath.Base(file)), nil
}

// copyFile copies within the kernel where the file systems can.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// othersWrite are the permissions of anyone but the owner to write.
const othersWrite = 0o022

// exposed says whether another user may change a file, or put another in its place, by
// the permissions of the file and of all folders above it. Where that cannot be told it
// is. In a folder with the sticky bit, such as /tmp, only owners rename.
func exposed(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return true
	}
	if real, err := filepath.EvalSymlinks(path); err != nil || real != path && exposed(real) {
		return true
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return true
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return true
		}
		link := info.Mode()&fs.ModeSymlink != 0 // has no permissions of its own
		if !link && info.Mode().Perm()&othersWrite != 0 && info.Mode()&fs.ModeSticky == 0 {
			return true
		}
		above := filepath.Dir(path)
		if above == path {
			return false
		}
		path = above
	}
}

// enclose makes the copy, or says why it is not made.
func (o *opened) enclose(external []string) {
	folder, path, err := privateCopy(o.loc.file, external)
	if err != nil {
		o.log.Warn("others may write to the model's files, and they could not be copied before they are checked: take the permission to write from others, or set TMPDIR to a folder with enough space",
			"model", o.loc.name, "file", o.loc.file, "error", err)
	}
	o.private, o.path = folder, path
}

// disclose removes the copy; the runtime keeps what it has mapped.
func (o *opened) disclose() {
	if o.private == "" {
		return
	}
	if err := os.RemoveAll(o.private); err != nil {
		o.log.Warn("the model's copy was not removed", "error", fmt.Errorf("remove: %w", err))
	}
	o.private = ""
}
