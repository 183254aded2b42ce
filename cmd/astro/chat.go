package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"astro/openai"
)

func newChatCommand() *cobra.Command {
	client := chatClient{url: "http://127.0.0.1:8080", key: os.Getenv("ASTRO_API_KEY")}
	c := &cobra.Command{
		Use:   "chat",
		Short: "Talk to a running server from the terminal",
		Long:  "Talk to a running server from the terminal. /reset starts over, /quit ends, Ctrl-C stops an answer.\nASTRO_API_KEY holds the key of a server that needs one.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return converse(context.WithoutCancel(c.Context()), &client, c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&client.url, "url", client.url, "address of the server")
	c.Flags().StringVar(&client.model, "model", "", "name of the model; empty = the first that the server lists")
	return c
}

// converse holds a conversation: one line of input, one streamed answer. Signals stop an answer, or the program between answers.
func converse(ctx context.Context, client *chatClient, in io.Reader, out io.Writer) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	if err := client.chooseModel(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s at %s; /reset starts over, /quit ends, Ctrl-C stops an answer\n", client.model, client.url)
	t := talk{client: client, out: out, interrupts: interrupts}
	lines := readLines(in)
	for {
		fmt.Fprint(out, "> ")
		select {
		case <-interrupts:
			fmt.Fprintln(out)
			return nil
		case line, ok := <-lines:
			if !ok || line == "/quit" {
				return nil
			}
			t.say(ctx, line)
		}
	}
}

// readLines reads on a goroutine of its own, so that a signal can end the program while it waits.
func readLines(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- strings.TrimSpace(s.Text())
		}
	}()
	return lines
}

// talk is a conversation so far.
type talk struct {
	client     *chatClient
	out        io.Writer
	interrupts <-chan os.Signal
	messages   []openai.Message
}

// say handles one line. A failed turn leaves no trace in the conversation; a stopped one keeps what was said.
func (t *talk) say(ctx context.Context, line string) {
	switch line {
	case "":
		return
	case "/reset":
		t.messages = nil
		fmt.Fprintln(t.out, "(a new conversation)")
		return
	}
	turn := append(t.messages, openai.Message{Role: "user", Content: line})
	answer, err := t.answer(ctx, turn)
	fmt.Fprintln(t.out)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(t.out, "error:", err)
		return
	}
	t.messages = append(turn, openai.Message{Role: "assistant", Content: answer})
}

// answer streams one answer to the terminal until it ends or is interrupted.
func (t *talk) answer(ctx context.Context, messages []openai.Message) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-t.interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	var answer strings.Builder
	err := t.client.stream(ctx, messages, func(text string) {
		answer.WriteString(text)
		fmt.Fprint(t.out, text)
	})
	return answer.String(), err
}

// chatClient talks to one server.
type chatClient struct{ url, model, key string }

// do sends a request; an answer that is not 200 becomes the error object that it holds.
func (c *chatClient) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	q, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bad --url %q: %w", c.url, err)
	}
	q.Header.Set("Content-Type", openai.JSONType)
	if c.key != "" {
		q.Header.Set("Authorization", "Bearer "+c.key)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, fmt.Errorf("is a server running there? start one with `astro serve`: %w", err)
	}
	if r.StatusCode == http.StatusOK {
		return r.Body, nil
	}
	defer r.Body.Close()
	failure := &openai.Error{Status: r.StatusCode}
	if err := json.NewDecoder(r.Body).Decode(failure); err != nil {
		return nil, fmt.Errorf("%s %s answered %s without an error object", method, path, r.Status)
	}
	return nil, failure
}

// chooseModel takes the first model of the server if none was named.
func (c *chatClient) chooseModel(ctx context.Context) error {
	if c.model != "" {
		return nil
	}
	body, err := c.do(ctx, "GET", "/v1/models", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	var list openai.ModelList
	if err := json.NewDecoder(body).Decode(&list); err != nil || len(list.Data) == 0 {
		return fmt.Errorf("the server at %s lists no model: name one with --model", c.url)
	}
	c.model = list.Data[0].ID
	return nil
}

// stream asks for one answer and hands over its text as it comes.
func (c *chatClient) stream(ctx context.Context, messages []openai.Message, show func(text string)) error {
	body, err := json.Marshal(struct {
		Model    string           `json:"model"`
		Messages []openai.Message `json:"messages"`
		Stream   bool             `json:"stream"`
	}{c.model, messages, true})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	events, err := c.do(ctx, "POST", "/v1/chat/completions", body)
	if err != nil {
		return err
	}
	defer events.Close()
	return readEvents(events, show)
}

// maxEventBytes bounds one line of an event stream.
const maxEventBytes = 1 << 20

// readEvents shows the text of every chunk until [DONE].
func readEvents(events io.Reader, show func(text string)) error {
	s := bufio.NewScanner(events)
	s.Buffer(nil, maxEventBytes)
	for s.Scan() {
		data, ok := strings.CutPrefix(s.Text(), "data: ")
		if !ok {
			continue // blank lines and keep-alive comments
		}
		if data == "[DONE]" {
			return nil
		}
		if err := showChunk([]byte(data), show); err != nil {
			return err
		}
	}
	if s.Err() != nil {
		return fmt.Errorf("read the answer: %w", s.Err())
	}
	return errors.New("the answer ended without [DONE]: the server went away")
}

// showChunk reads one event: a chunk or an error object.
func showChunk(data []byte, show func(text string)) error {
	failure := new(openai.Error)
	if err := json.Unmarshal(data, failure); err == nil && failure.Message != "" {
		return failure
	}
	var chunk openai.ChatChunk
	if err := json.Unmarshal(data, &chunk); err != nil {
		return fmt.Errorf("read a chunk of the answer: %w", err)
	}
	for _, choice := range chunk.Choices {
		if choice.Delta.Content != nil {
			show(*choice.Delta.Content)
		}
	}
	return nil
}
