package load

import (
	"slices"
	"time"

	"astro/training/eval"
)

// Spread is a distribution of times in milliseconds. All are 0 where there are no values.
type Spread struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Figures are what a level came to. Times and tokens are of requests that ended well.
type Figures struct {
	Level       string  `json:"level"`
	Concurrency int     `json:"concurrency"`         // 0 = open loop
	Rate        float64 `json:"rate_per_s"`          // arrivals; 0 = closed loop
	Warmup      int     `json:"warmup_requests"`     // before the level, not counted
	Requests    int     `json:"requests"`            // that ended, well or not
	Completed   int     `json:"completed"`           // that ended well
	Seconds     float64 `json:"seconds"`             // from the first request to the last end
	CPUShare    float64 `json:"client_cpu_share"`    // of one processor, used by this program
	Requested   float64 `json:"requests_per_s"`      // that ended well
	OutputRate  float64 `json:"output_tokens_per_s"` // of requests that ended well
	InputRate   float64 `json:"prompt_tokens_per_s"` // of requests that ended well, where the server counts them

	PromptTokens float64 `json:"mean_prompt_tokens"` // as the server counts; 0 = it does not
	OutputTokens float64 `json:"mean_output_tokens"`
	FullLength   float64 `json:"full_length_share"` // of requests that gave as many tokens as was asked for

	TTFT Spread `json:"ttft_ms"` // to the first token
	ITL  Spread `json:"itl_ms"`  // between tokens, over all tokens
	TPOT Spread `json:"tpot_ms"` // mean time between the tokens of a request, over requests
	E2E  Spread `json:"e2e_ms"`  // to the last token

	Good     int     `json:"good_requests"` // that met the target
	Goodput  float64 `json:"goodput_requests_per_s"`
	GoodPart float64 `json:"goodput_share"` // of all requests, those that failed too

	Counted  map[Counted]int `json:"requests_by_count"` // where the number of tokens is from
	Errors   map[Kind]int    `json:"errors"`            // every kind, also those that did not happen
	Examples map[Kind]string `json:"error_examples"`    // the first of each kind that happened

	tokens, promptTokens int
}

// figure computes everything that does not depend on how long the level took.
func figure(samples []Sample, maxTokens int, slo SLO) Figures {
	f := Figures{Requests: len(samples), Counted: map[Counted]int{}, Errors: map[Kind]int{}, Examples: map[Kind]string{}}
	for _, kind := range ErrorKinds {
		f.Errors[kind] = 0
	}
	var ttft, itl, tpot, e2e []float64
	full := 0
	for _, s := range samples {
		if s.Kind != OK {
			f.failed(s)
			continue
		}
		f.Completed++
		f.Counted[s.Counted]++
		f.tokens += s.Tokens
		f.promptTokens += s.PromptTokens
		if s.Tokens >= maxTokens {
			full++
		}
		ttft, e2e = append(ttft, millis(s.First-s.Start)), append(e2e, millis(s.Last-s.Start))
		for _, gap := range s.Gaps {
			itl = append(itl, millis(gap))
		}
		if s.Tokens > 1 {
			tpot = append(tpot, millis(s.perToken()))
		}
		if s.meets(slo) {
			f.Good++
		}
	}
	f.TTFT, f.ITL, f.TPOT, f.E2E = spread(ttft), spread(itl), spread(tpot), spread(e2e)
	f.PromptTokens, f.OutputTokens = share(f.promptTokens, f.Completed), share(f.tokens, f.Completed)
	f.FullLength, f.GoodPart = share(full, f.Completed), share(f.Good, f.Requests)
	return f
}

// failed counts an error and keeps the first of its kind.
func (f *Figures) failed(s Sample) {
	if f.Errors[s.Kind]++; f.Errors[s.Kind] == 1 && s.Err != nil {
		f.Examples[s.Kind] = s.Err.Error()
	}
}

// over adds what depends on how long the level took and how much of a processor it used.
func (f *Figures) over(wall, cpu time.Duration) {
	f.Seconds = wall.Seconds()
	if wall <= 0 {
		return
	}
	f.CPUShare = cpu.Seconds() / f.Seconds
	f.Requested, f.Goodput = float64(f.Completed)/f.Seconds, float64(f.Good)/f.Seconds
	f.OutputRate, f.InputRate = float64(f.tokens)/f.Seconds, float64(f.promptTokens)/f.Seconds
}

// perToken is the mean time between tokens; 0 for a single one.
func (s *Sample) perToken() time.Duration {
	return (s.Last - s.First) / time.Duration(max(1, s.Tokens-1))
}

// meets says that a request which ended well was fast enough.
func (s *Sample) meets(slo SLO) bool {
	return (slo.TTFT == 0 || s.First-s.Start <= slo.TTFT) && (slo.ITL == 0 || s.perToken() <= slo.ITL)
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	sum := 0.
	for _, v := range values {
		sum += v
	}
	return Spread{Mean: sum / float64(len(values)), P50: eval.Quantile(values, .5), P90: eval.Quantile(values, .9), P99: eval.Quantile(values, .99),
		Max: values[len(values)-1]}
}

func share(part, whole int) float64 {
	return float64(part) / float64(max(1, whole))
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
