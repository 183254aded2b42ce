package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"astro/benchmarks/quality"
	"astro/model"
	"astro/model/tokenizer"
	"astro/training/countdown"
)

// read gives the texts and says where they are from.
func (b *benchQualityFlags) read(c model.Config, tok *tokenizer.Tokenizer) ([]quality.Text, string, error) {
	if b.data != "" {
		texts, err := b.readData(tok)
		return texts, b.data, err
	}
	if !playsCountdown(c, tok) {
		return nil, "", errors.New("this model is none of the numbers game, for which texts are made: give --data FILE, on each line a JSON string or {\"text\": ...}")
	}
	texts, err := b.makeTexts()
	return texts, fmt.Sprintf("documents of the test numbers, seed %d", b.seed), err
}

// playsCountdown says whether the model has the vocabulary of the numbers game.
func playsCountdown(c model.Config, tok *tokenizer.Tokenizer) bool {
	p := countdown.Problem{Numbers: []int{3, 7, 2, 9}, Target: 27}
	return c.Vocab == countdown.CD4.VocabSize() && slices.Equal(tok.Encode(p.String()+" :"), countdown.Prompt(p))
}

// makeTexts draws documents as a base model reads them, of numbers that no model has learned from.
func (b *benchQualityFlags) makeTexts() ([]quality.Text, error) {
	d := countdown.CD4
	source, err := countdown.NewSource(d, countdown.DefaultMix, d.Split().Test, b.seed)
	if err != nil {
		return nil, err
	}
	texts := make([]quality.Text, b.texts)
	for i := range texts {
		document := source.Next()
		texts[i] = quality.Text{Tokens: document.Tokens, Prompt: document.Prompt}
	}
	return texts, nil
}

// maxTextBytes bounds a line of --data.
const maxTextBytes = 4 << 20

// readData reads texts from a file. What is too short to have a token's log-probability is an error.
func (b *benchQualityFlags) readData(tok *tokenizer.Tokenizer) ([]quality.Text, error) {
	file, err := os.Open(b.data)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxTextBytes)
	var texts []quality.Text
	for n := 1; (b.texts == 0 || len(texts) < b.texts) && lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		text, err := parseText(lines.Bytes())
		tokens := tok.Encode(text)
		if err == nil && len(tokens) < 2 {
			err = fmt.Errorf("%d tokens: want at least 2", len(tokens))
		}
		if err != nil {
			return nil, fmt.Errorf("--data %s, line %d: %w", b.data, n, err)
		}
		texts = append(texts, quality.Text{Tokens: tokens, Prompt: max(1, min(b.promptTokens, len(tokens)/2))})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--data %s, after %d texts (a line has at most %d bytes): %w", b.data, len(texts), maxTextBytes, err)
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("--data %s: no text in it; want on each line a JSON string or {\"text\": ...}", b.data)
	}
	return texts, nil
}

// parseText reads a JSON string, or an object that has one as text.
func parseText(line []byte) (string, error) {
	var text *string
	if json.Unmarshal(line, &text) == nil && text != nil {
		return *text, nil
	}
	var object struct{ Text *string }
	if err := json.Unmarshal(line, &object); err != nil || object.Text == nil {
		return "", errors.New(`want a JSON string or {"text": "..."}`)
	}
	return *object.Text, nil
}
