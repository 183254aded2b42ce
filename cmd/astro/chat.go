package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"astro/openai"
	"astro/openai/client"
)

func newChatCommand() *cobra.Command {
	url, model := "http://127.0.0.1:8080", ""
	c := &cobra.Command{
		Use:   "chat",
		Short: "Talk to a running server from the terminal",
		Long:  "Talk to a running server from the terminal. /reset starts over, /quit ends, Ctrl-C stops an answer.\nASTRO_API_KEY or OPENAI_API_KEY holds the key of a server that needs one.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return converse(context.WithoutCancel(c.Context()), newChatClient(url, model), c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&url, "url", url, "address of the server")
	c.Flags().StringVar(&model, "model", "", "name of the model; empty = the first that the server lists")
	return c
}

// converse holds a conversation: one line of input, one streamed answer. Signals stop an answer, or the program between answers.
func converse(ctx context.Context, server *chatClient, in io.Reader, out io.Writer) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	if err := server.chooseModel(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s at %s; /reset starts over, /quit ends, Ctrl-C stops an answer\n", server.model, server.URL)
	t := talk{server: server, out: out, interrupts: interrupts}
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
	server     *chatClient
	out        io.Writer
	interrupts <-chan os.Signal
	messages   []client.Message
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
	turn := append(t.messages, client.Message{Role: "user", Content: line})
	answer, err := t.answer(ctx, turn)
	fmt.Fprintln(t.out)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(t.out, "error:", err)
		return
	}
	t.messages = append(turn, client.Message{Role: "assistant", Content: answer})
}

// answer streams one answer to the terminal until it ends or is interrupted.
func (t *talk) answer(ctx context.Context, messages []client.Message) (string, error) {
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
	err := t.server.stream(ctx, messages, func(text string) {
		answer.WriteString(text)
		fmt.Fprint(t.out, text)
	})
	return answer.String(), err
}

// chatClient talks to one server.
type chatClient struct {
	client.Client
	model string
}

// newChatClient asks once: a person sees what went wrong and decides. An answer may take as long as it does.
func newChatClient(url, model string) *chatClient {
	c := &chatClient{client.New(url, apiKey(), 1), model}
	c.Retry.Tries, c.Limit = 1, 0
	return c
}

// chooseModel takes the first model of the server if none was named.
func (c *chatClient) chooseModel(ctx context.Context) error {
	if c.model != "" {
		return nil
	}
	name, err := c.FirstModel(ctx)
	var broken *client.BrokenError
	if errors.As(err, &broken) {
		return fmt.Errorf("is a server running there? start one with `astro serve`: %w", err)
	}
	c.model = name
	return err
}

// stream asks for one answer and hands over its text as it comes.
func (c *chatClient) stream(ctx context.Context, messages []client.Message, show func(text string)) error {
	body, err := json.Marshal(struct {
		Model    string           `json:"model"`
		Messages []client.Message `json:"messages"`
		Stream   bool             `json:"stream"`
	}{c.model, messages, true})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	events, err := c.Stream(ctx, "/v1/chat/completions", body)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		data, err := events.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := showChunk(data, show); err != nil {
			return err
		}
	}
}

// showChunk shows the text of one event.
func showChunk(data []byte, show func(text string)) error {
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
