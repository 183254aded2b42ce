package sampler

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// ErrNotFinite says that a row's logits hold NaN or +Inf, or no finite value: the weights are broken, or the input met an overflow.
var ErrNotFinite = errors.New("the logits are not finite")

// ErrNothingAllowed says that every token is banned.
var ErrNothingAllowed = errors.New("no token is allowed")

// Host draws from logits [vocab] f32, which it only reads.
func Host(logits []float32, row *Row) (Choice, error) {
	var s scratch
	return s.draw(logits, row)
}

// HostBatch draws from logits [len(rows), vocab] f32 on all cores; a row that is nil draws nothing. The results are row by row.
func HostBatch(logits []float32, rows []*Row) ([]Choice, []error) {
	choices, errs := make([]Choice, len(rows)), make([]error, len(rows))
	vocab := len(logits) / max(1, len(rows))
	onAllCores(len(rows), func(s *scratch, i int) {
		if rows[i] != nil {
			choices[i], errs[i] = s.draw(logits[i*vocab:(i+1)*vocab], rows[i])
		}
	})
	return choices, errs
}

// onAllCores calls do for 0 to n-1, each goroutine with a scratch of its own.
func onAllCores(n int, do func(s *scratch, i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		all.Go(func() {
			var s scratch
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(&s, i)
			}
		})
	}
	all.Wait()
}

// scratch is memory that draws use one after the other.
type scratch struct {
	changed   []float32 // logits after the edits
	distances []uint32  // of each token from the best
	mass      []float32 // exp(-distance), 0 for a token that is not allowed
}

func (s *scratch) draw(logits []float32, row *Row) (Choice, error) {
	norm, err := logSumExp(logits)
	if err != nil {
		return Choice{}, err
	}
	final := s.edit(logits, row)
	best := argMax(final)
	switch {
	case !(final[best] > allowedFrom):
		return Choice{}, ErrNothingAllowed
	case final[best] > math.MaxFloat32:
		return Choice{}, notFinite(final[best])
	}
	c := Choice{Top: topN(logits, norm, row.TopN)}
	token := best
	if row.Params.Temperature > 0 {
		token, c.Sampled = s.sample(final, best, row)
	}
	c.TokenLogprob = TokenLogprob{int32(token), float32(float64(logits[token]) - norm)}
	return c, nil
}

// edit returns the logits to draw from: the given ones, or a changed copy.
func (s *scratch) edit(logits []float32, row *Row) []float32 {
	edits := row.edits(len(logits))
	if len(edits) == 0 && row.Allowed == nil {
		return logits
	}
	s.changed = append(s.changed[:0], logits...)
	for _, e := range edits {
		s.changed[e.token] = e.apply(logits[e.token])
	}
	if row.Allowed != nil {
		s.mask(row.Allowed)
	}
	return s.changed
}

// mask forbids the tokens without a bit.
func (s *scratch) mask(allowed []uint64) {
	for i := range s.changed {
		if allowed[i/64]>>(i%64)&1 == 0 {
			s.changed[i] = forbidden
		}
	}
}

// logSumExp is the logarithm of the softmax's denominator.
func logSumExp(logits []float32) (float64, error) {
	best := logits[argMax(logits)]
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l - best))
	}
	norm := float64(best) + math.Log(sum)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return 0, notFinite(best)
	}
	return norm, nil
}

func notFinite(best float32) error { return fmt.Errorf("%w: the largest is %g", ErrNotFinite, best) }

// argMax is the first index of the largest value.
func argMax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// sample draws from the softmax of final/temperature over what the filters keep.
func (s *scratch) sample(final []float32, best int, row *Row) (token int, logprob float32) {
	s.measure(final, final[best], row.Params.scale())
	limit := s.limit(&row.Params)
	key := row.key()
	token, speed, total := best, 1/exponential(key.uniform(int32(best))), 0.0
	for i, d := range s.distances {
		if d > limit {
			continue
		}
		m := s.mass[i]
		total += float64(m)
		u := key.uniform(int32(i))
		if m < 0.999*speed*u { // m/exponential(u) is not more than m/u: it cannot win, and needs no logarithm
			continue
		}
		if v := m / exponential(u); v > speed || v == speed && i < token {
			token, speed = i, v
		}
	}
	return token, float32(-float64(math.Float32frombits(s.distances[token])) - math.Log(total))
}

// Distances are compared as bits, which for floats that are not negative have the same order. Tokens that are not allowed are
// farther away than all others.
const (
	anyDistance = math.MaxInt32 - 1
	notAllowed  = math.MaxInt32
)

// scale is 1/temperature, as both forms multiply by it.
func (p *Params) scale() float32 { return min(1/p.Temperature, math.MaxFloat32) }

// measure fills in the tokens' distances from the best one in units of the temperature, and their mass.
func (s *scratch) measure(final []float32, best, scale float32) {
	s.distances, s.mass = s.distances[:0], s.mass[:0]
	for _, l := range final {
		if !(l > allowedFrom) {
			s.distances, s.mass = append(s.distances, notAllowed), append(s.mass, 0)
			continue
		}
		d := float32(math.Abs(float64((best - l) * scale))) // -0 - 0 is -0, whose bits are far away
		s.distances, s.mass = append(s.distances, math.Float32bits(d)), append(s.mass, float32(math.Exp(-float64(d))))
	}
}

// limit is the largest distance that min-p, top-k and top-p keep, one filter after the other; ties at a limit are all kept.
func (s *scratch) limit(p *Params) uint32 {
	limit := p.minPLimit()
	if p.TopK > 0 && p.TopK < len(s.distances) {
		limit = min(limit, s.threshold(limit, float64(p.TopK), func(int) float64 { return 1 }))
	}
	if p.TopP < 1 {
		weight := func(i int) float64 { return float64(s.mass[i]) }
		total := 0.0
		for i, d := range s.distances {
			if d <= limit {
				total += weight(i)
			}
		}
		limit = min(limit, s.threshold(limit, float64(p.topPShare())*total, weight))
	}
	return limit
}

// minPLimit is the distance at which a token has MinP of the best one's probability.
func (p *Params) minPLimit() uint32 {
	if p.MinP <= 0 {
		return anyDistance
	}
	return math.Float32bits(0 - float32(math.Log(float64(p.MinP)))) // 0 - x, for -x would be -0 at MinP = 1
}

// topPShare is TopP less what sums in f32 may be wrong by, so that a set of exactly TopP is complete in both forms.
func (p *Params) topPShare() float32 { return p.TopP * (1 - 1e-5) }

// threshold is the smallest distance up to which the weights sum to at least target, or limit if all within it do not. It
// narrows the distance down by 8 bits a pass, so that nothing is sorted.
func (s *scratch) threshold(limit uint32, target float64, weight func(i int) float64) uint32 {
	prefix, mask := uint32(0), uint32(0)
	for shift := 24; shift >= 0; shift -= 8 {
		var bins [256]float64
		for i, d := range s.distances {
			if d <= limit && d&mask == prefix {
				bins[d>>shift&255] += weight(i)
			}
		}
		bin := 0
		for ; bin < 255 && bins[bin] < target; bin++ {
			target -= bins[bin]
		}
		if shift == 24 && bins[bin] < target {
			return limit
		}
		prefix |= uint32(bin) << shift
		mask |= 255 << shift
	}
	return prefix
}

// topN lists the n most probable tokens, best first, the lower id first among equals.
func topN(logits []float32, norm float64, n int) []TokenLogprob {
	if n == 0 {
		return nil
	}
	top := make([]TokenLogprob, 0, n+1)
	for i, l := range logits {
		if len(top) == n && l <= top[n-1].Logprob {
			continue
		}
		at := len(top)
		for at > 0 && top[at-1].Logprob < l {
			at--
		}
		top = append(top, TokenLogprob{})
		copy(top[at+1:], top[at:])
		top[at] = TokenLogprob{int32(i), l}
		top = top[:min(n, len(top))]
	}
	for i := range top {
		top[i].Logprob = float32(float64(top[i].Logprob) - norm)
	}
	return top
}

// ScoreHost is the log-probability of a given token, in [0, vocab), under logits [vocab] f32, and the n best tokens beside it.
func ScoreHost(logits []float32, token int32, n int) (TokenLogprob, []TokenLogprob, error) {
	norm, err := logSumExp(logits)
	if err != nil {
		return TokenLogprob{}, nil, err
	}
	return TokenLogprob{token, float32(float64(logits[token]) - norm)}, topN(logits, norm, n), nil
}
