// Package smallfile reads files of folders that strangers made: regular files only, never more bytes than are allowed, and without
// waiting for what stands in a file's place.
package smallfile

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// Open opens a regular file, which a symbolic link may lead to. A pipe or a device in its place is an error, at once.
func Open(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // else opening a pipe waits until somebody writes to it
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read reads a whole regular file of at most limitBytes.
func Read(path string, limitBytes int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, path, limitBytes)
}

// ReadAll reads what is left of a file that is called name: at most limitBytes.
func ReadAll(f io.Reader, name string, limitBytes int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, limitBytes+1))
	if err == nil && int64(len(data)) > limitBytes {
		err = fmt.Errorf("%s has more than %d bytes", name, limitBytes)
	}
	return data, err
}
