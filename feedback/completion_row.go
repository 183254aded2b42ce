package feedback

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

const insertCompletion = `INSERT INTO completions(id, choice, tenant, key_id, session, model, state, finish, spans, params, metadata, prompt_ids, token_ids, logprobs,
  sampled, prompt_text, output_text, created_ms, expires_ms, crc) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id, choice) DO NOTHING`

const completionColumns = `seq, id, choice, tenant, key_id, session, model, state, finish, spans, params, metadata, prompt_ids, token_ids, logprobs, sampled,
  prompt_text, output_text, created_ms, expires_ms, crc`

// completionRow is a completion as the table has it.
type completionRow struct {
	id, tenant, key, session, model, state, finish, spans, params string
	choice, created, expires                                      int64
	metadata, promptText, outputText                              sql.NullString
	prompt, output, logprobs, sampled                             []byte // sampled nil = NULL
}

// rowOf copies all there is in c, which its caller may change afterwards.
func (s *Store) rowOf(c *Completion) *completionRow {
	r := &completionRow{id: c.ID, tenant: c.Tenant, key: c.Key, session: c.Session, model: c.Model, state: string(c.State), finish: c.Finish, spans: text(append([]Span{}, c.Spans...)),
		params: orEmpty(c.Params), choice: int64(c.Choice), created: c.Created.UnixMilli(), expires: c.Expires.UnixMilli(), metadata: optional(c.Metadata),
		prompt: packIDs(c.Prompt), output: packIDs(c.Output), logprobs: packFloats(c.Logprobs)}
	if len(c.Sampled) > 0 {
		r.sampled = packFloats(c.Sampled)
	}
	if s.options.KeepText {
		r.promptText, r.outputText = kept(c.PromptText), kept(c.OutputText)
	}
	return r
}

func kept(text *string) sql.NullString {
	if text == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: *text, Valid: true}
}

// fields are the columns without seq and crc.
func (r *completionRow) fields() []any {
	return []any{r.id, r.choice, r.tenant, r.key, r.session, r.model, r.state, r.finish, r.spans, r.params, r.metadata, orNone(r.prompt), orNone(r.output), orNone(r.logprobs), r.sampled,
		r.promptText, r.outputText, r.created, r.expires}
}

// orNone is an empty blob where the driver read nil.
func orNone(blob []byte) []byte {
	if blob == nil {
		return []byte{}
	}
	return blob
}

// check says whether the row is what was written. Of one that was erased nothing is left that could be wrong.
func (r *completionRow) check(crc int64) error {
	if crc == 0 && len(r.prompt)+len(r.output)+len(r.logprobs)+len(r.sampled) == 0 && r.spans == "[]" {
		return nil
	}
	return checkRow("completion "+r.id, crc, r.fields()...)
}

// scanner is a row of a query, or a query's present row.
type scanner interface{ Scan(dest ...any) error }

// readCompletion reads a row of completionColumns.
func readCompletion(from scanner) (*Completion, error) {
	var r completionRow
	var seq, crc int64
	err := from.Scan(&seq, &r.id, &r.choice, &r.tenant, &r.key, &r.session, &r.model, &r.state, &r.finish, &r.spans, &r.params, &r.metadata, &r.prompt, &r.output, &r.logprobs,
		&r.sampled, &r.promptText, &r.outputText, &r.created, &r.expires, &crc)
	if err != nil {
		return nil, err
	}
	if err := r.check(crc); err != nil {
		return nil, err
	}
	c := &Completion{Seq: seq, ID: r.id, Choice: int(r.choice), Tenant: r.tenant, Key: r.key, Session: r.session, Model: r.model, State: State(r.state), Finish: r.finish,
		Params: json.RawMessage(r.params), Metadata: present(r.metadata), Prompt: unpackIDs(r.prompt), Output: unpackIDs(r.output), Logprobs: unpackFloats(r.logprobs),
		PromptText: pointer(r.promptText), OutputText: pointer(r.outputText), Created: time.UnixMilli(r.created), Expires: time.UnixMilli(r.expires)}
	if r.sampled != nil {
		c.Sampled = unpackFloats(r.sampled)
	}
	if err := json.Unmarshal([]byte(r.spans), &c.Spans); err != nil {
		return nil, fmt.Errorf("completion %s: its version spans: %w: %w", r.id, ErrDamaged, err)
	}
	return c, nil
}

func pointer(text sql.NullString) *string {
	if !text.Valid {
		return nil
	}
	return &text.String
}

// text is a value as JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: got a record of the store that is no JSON: " + err.Error() + "; want it refused before")
	}
	return string(b)
}

func orEmpty(j json.RawMessage) string {
	if j == nil {
		return "{}"
	}
	return string(j)
}

// optional is NULL for nil.
func optional(j json.RawMessage) sql.NullString {
	return sql.NullString{String: string(j), Valid: j != nil}
}

// present is nil for NULL.
func present(text sql.NullString) json.RawMessage {
	if !text.Valid {
		return nil
	}
	return json.RawMessage(text.String)
}
