package latex

import (
	"strings"
	"unicode/utf8"
)

// unicodeMeanings writes what models print in Unicode in the LaTeX that means the same.
var unicodeMeanings = strings.NewReplacer(
	"−", "-", "–", "-", "—", "-", "‐", "-", "‑", "-", "﹣", "-", "×", `\times `, "·", `\cdot `, "⋅", `\cdot `, "∙", `\cdot `, "∗", "*", "÷", "/",
	"⁄", "/", "∕", "/", "π", `\pi `, "Π", `\pi `, "√", `\sqrt `, "∛", `\sqrt[3]`, "∜", `\sqrt[4]`, "∞", `\infty `, "≤", `\le `, "≥", `\ge `, "⩽", `\le `,
	"⩾", `\ge `, "≠", `\ne `, "≈", `\approx `, "≡", "=", "±", `\pm `, "∓", `\mp `, "∪", `\cup `, "∩", `\cap `, "∈", `\in `, "∅", `\emptyset `,
	"∖", `\setminus `, "°", `^{\circ}`, "º", `^{\circ}`, "′", "'", "’", "'", "‘", "'", "“", `"`, "”", `"`, "⟨", `\langle `, "⟩", `\rangle `, "〈", `\langle `, "〉", `\rangle `,
	"⌊", `\lfloor `, "⌋", `\rfloor `, "⌈", `\lceil `, "⌉", `\rceil `, "∑", `\sum `, "∏", `\prod `, "∫", `\int `, "…", `\ldots `, "⋯", `\ldots `,
	"½", `\frac{1}{2}`, "⅓", `\frac{1}{3}`, "⅔", `\frac{2}{3}`, "¼", `\frac{1}{4}`, "¾", `\frac{3}{4}`, "⅕", `\frac{1}{5}`, "⅖", `\frac{2}{5}`,
	"⅗", `\frac{3}{5}`, "⅘", `\frac{4}{5}`, "⅙", `\frac{1}{6}`, "⅚", `\frac{5}{6}`, "⅛", `\frac{1}{8}`, "⅜", `\frac{3}{8}`, "⅝", `\frac{5}{8}`, "⅞", `\frac{7}{8}`,
	"α", `\alpha `, "β", `\beta `, "γ", `\gamma `, "δ", `\delta `, "ε", `\epsilon `, "θ", `\theta `, "λ", `\lambda `, "μ", `\mu `, "ρ", `\rho `,
	"σ", `\sigma `, "τ", `\tau `, "φ", `\phi `, "ϕ", `\phi `, "ψ", `\psi `, "ω", `\omega `, "Δ", `\Delta `, "Ω", `\Omega `, "∆", `\Delta `,
	"ℝ", `\mathbb{R}`, "ℤ", `\mathbb{Z}`, "ℚ", `\mathbb{Q}`, "ℕ", `\mathbb{N}`, "ℂ", `\mathbb{C}`, "ℓ", `\ell `, "∠", `\angle `, "△", `\triangle `,
	"€", `\euro `, "£", `\pounds `, "¥", `\yen `, "％", `\%`, "（", "(", "）", ")", "，", ",", "；", ";", "：", ":", "。", ".", "［", "[", "］", "]",
	"｛", `\{`, "｝", `\}`, "＋", "+", "－", "-", "＝", "=", "＜", "<", "＞", ">", "／", "/", "\u00a0", " ", "\u2002", " ", "\u2003", " ", "\u2009", " ", "\u200a", " ",
	"\u202f", " ", "\u3000", " ", "\u2061", " ", "\u2062", " ", "\u200b", "", "\ufeff", "",
)

// raised and lowered are the small digits of Unicode, in order.
const (
	raised  = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
	lowered = "₀₁₂₃₄₅₆₇₈₉₋₊"
	flat    = "0123456789-+"
)

// Clean takes away what stands around an answer (dollar signs, a box, braces, a final full stop) and writes Unicode in LaTeX.
func Clean(s string) string {
	if len(s) > MaxBytes || !utf8.ValidString(s) {
		return strings.TrimSpace(s)
	}
	if !ascii(s) {
		s = smallDigits(smallDigits(s, raised, "^"), lowered, "_")
		s = unicodeMeanings.Replace(fullWidth(s))
	}
	s = undouble(s)
	for range MaxDepth {
		before := s
		s = strings.Trim(s, " \t\r\n~")
		for _, pair := range wrappers {
			s = unwrap(s, pair[0], pair[1])
		}
		s = trimEnd(s)
		if s == before {
			break
		}
	}
	return s
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fullWidth maps the wide digits and letters of East Asian text.
func fullWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if '０' <= r && r <= '９' || 'Ａ' <= r && r <= 'Ｚ' || 'ａ' <= r && r <= 'ｚ' {
			return r - '０' + '0'
		}
		return r
	}, s)
}

// smallDigits writes runs of raised or lowered digits as mark{digits}.
func smallDigits(s, small, mark string) string {
	if !strings.ContainsAny(s, small) {
		return s
	}
	var b strings.Builder
	open := false
	for _, r := range s {
		at := strings.IndexRune(small, r)
		if open && at < 0 {
			b.WriteByte('}')
			open = false
		}
		if at < 0 {
			b.WriteRune(r)
			continue
		}
		if !open {
			b.WriteString(mark + "{")
			open = true
		}
		b.WriteByte(flat[utf8.RuneCountInString(small[:at])])
	}
	if open {
		b.WriteByte('}')
	}
	return b.String()
}

// undouble undoes the escaping of backslashes when every command in s has two of them.
func undouble(s string) string {
	double := false
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] != '\\' {
			return s
		}
		double = double || i+2 < len(s) && isLetter(s[i+2])
		i++
	}
	if !double {
		return s
	}
	return strings.ReplaceAll(s, `\\`, `\`)
}

// wrappers are pairs that may stand around a whole answer.
var wrappers = [][2]string{{"$$", "$$"}, {"$", "$"}, {`\(`, `\)`}, {`\[`, `\]`}, {"**", "**"}, {`"`, `"`}, {`\boxed{`, "}"}, {`\fbox{`, "}"}, {`\boxed {`, "}"}, {"{", "}"}}

// unwrap takes a pair away that encloses all of s.
func unwrap(s, before, after string) string {
	if len(s) < len(before)+len(after) || !strings.HasPrefix(s, before) || !strings.HasSuffix(s, after) {
		return s
	}
	inner := s[len(before) : len(s)-len(after)]
	if strings.HasSuffix(before, "{") {
		if !balanced(inner) || strings.HasSuffix(inner, `\`) || before == "{" && strings.ContainsAny(inner, ",;") {
			return s
		}
	} else if strings.Contains(inner, before) || strings.Contains(inner, after) || before == "$" && strings.HasSuffix(inner, `\`) {
		return s
	}
	return inner
}

// balanced says that no brace of s closes one outside of it. Escaped braces are signs, not braces.
func balanced(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

// trimEnd takes punctuation and line breaks from the end.
func trimEnd(s string) string {
	s = strings.TrimRight(s, " \t\r\n~")
	for _, end := range []string{`\\`, `\,`, `\;`, `\!`, `\ `, `\quad`, `\qquad`} {
		s = strings.TrimSuffix(s, end)
	}
	if n := len(s); n > 0 && strings.IndexByte(`,;:\`, s[n-1]) >= 0 {
		return s[:n-1]
	}
	if strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "...") && !abbreviation(s) {
		return s[:len(s)-1]
	}
	return s
}

// abbreviation says that the full stop belongs to the word: 4 p.m.
func abbreviation(s string) bool {
	return strings.HasSuffix(s, ".m.")
}

func isLetter(b byte) bool { return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' }
func isDigit(b byte) bool  { return '0' <= b && b <= '9' }
func isSpace(b byte) bool  { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }
