package quality

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Report is what was measured; the first of Rows is the truth.
type Report struct {
	Model     string `json:"model"`
	Data      string `json:"data"` // where the texts came from
	Backend   string `json:"backend"`
	Level     string `json:"kernel_level"`
	Texts     int    `json:"texts"`
	CutTexts  int    `json:"cut_texts"` // of them, longer than the model's context
	Tokens    int    `json:"tokens"`    // with a log-probability
	Answers   int    `json:"answers"`
	MaxTokens int    `json:"max_tokens"` // of an answer
	Rows      []Row  `json:"rows"`
}

// Row is one form beside the truth.
type Row struct {
	Form       string  `json:"form"`              // weights/keys and values
	Skipped    string  `json:"skipped,omitempty"` // why it was not run; nothing else is set then
	Perplexity float64 `json:"perplexity"`        // exp of the mean negative log-probability of a token
	Ratio      float64 `json:"perplexity_ratio"`  // to the truth's
	KL         float64 `json:"kl"`                // mean divergence from the truth's distribution, nats a token; a lower bound with more than 20 ids
	MeanGap    float64 `json:"mean_gap"`          // mean |difference| of a given token's log-probability
	Gap        float64 `json:"gap"`               // the largest
	Agree      float64 `json:"agree"`             // share of positions where the most probable token is the same
	Same       int     `json:"same_answers"`      // greedy answers that are the truth's, token for token
	Apart      float64 `json:"apart"`             // mean first position, from 0, where the others differ; 0 if there are none
}

// add compares a form with the truth.
func (r *Report) add(f Form, truth, form taken) {
	d := compareScores(truth.scores, form.scores)
	n := float64(d.tokens)
	row := Row{Form: f.String(), Perplexity: math.Exp(d.nll / n), KL: d.divergence / n, MeanGap: d.gaps / n, Gap: d.largest, Agree: float64(d.agree) / n}
	row.Same, row.Apart = compareAnswers(truth.answers, form.answers)
	r.Tokens, r.Rows = d.tokens, append(r.Rows, row)
	last := &r.Rows[len(r.Rows)-1]
	last.Ratio = last.Perplexity / r.Rows[0].Perplexity
}

func (r *Report) skip(f Form, why error) {
	r.Rows = append(r.Rows, Row{Form: f.String(), Skipped: why.Error()})
}

// compared is an error if nothing but the truth was run.
func (r *Report) compared() error {
	for _, row := range r.Rows[1:] {
		if row.Skipped == "" {
			return nil
		}
	}
	return fmt.Errorf("no form can be compared with the graph on %s: %s", r.Backend, r.Rows[1].Skipped)
}

// JSON is the report with a newline at its end.
func (r *Report) JSON() []byte {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic("BUG: a report has no JSON form: " + err.Error())
	}
	return append(data, '\n')
}

// Text is the report as a table in Markdown.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s (kernels: %s): %d texts (%s), %d of them cut; %d tokens; %d greedy answers of up to %d tokens\n\n",
		r.Model, r.Backend, r.Level, r.Texts, r.Data, r.CutTexts, r.Tokens, r.Answers, r.MaxTokens)
	b.WriteString("| weights/KV | perplexity | ratio | KL, nats | log-probability apart: mean | largest | same greedy token % | same answers % | the others part at |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for i := range r.Rows {
		b.WriteString(r.line(&r.Rows[i]))
	}
	return b.String()
}

func (r *Report) line(row *Row) string {
	if row.Skipped != "" {
		return fmt.Sprintf("| %s | not run: %s | | | | | | | |\n", row.Form, row.Skipped)
	}
	same, apart := "-", "-"
	if r.Answers > 0 {
		same = fmt.Sprintf("%.1f", 100*float64(row.Same)/float64(r.Answers))
	}
	if row.Same < r.Answers {
		apart = fmt.Sprintf("%.1f", row.Apart)
	}
	return fmt.Sprintf("| %s | %.4f | %.5f | %.2g | %.2g | %.2g | %.2f | %s | %s |\n",
		row.Form, row.Perplexity, row.Ratio, row.KL, row.MeanGap, row.Gap, 100*row.Agree, same, apart)
}
