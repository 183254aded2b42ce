package latex

import "strings"

// unitNames are the units and countable things that may follow a number, each with the name that stands for it. Only these
// may be dropped from an answer: any other words behind a number may take it back.
var unitNames = units(`mm=millimeter millimetre; cm=centimeter centimetre; dm=decimeter; m=meter metre; km=kilometer kilometre; in=inch; ft=foot feet;
	yd=yard; mi=mile; mg=milligram; g=gram gm; kg=kilogram; ton=tonne; oz=ounce; lb=pound lbs; ml=milliliter millilitre; l=liter litre; gal=gallon;
	quart; pint; cup; tablespoon; teaspoon; second=sec s; minute=min; hour=hr h; day; week; month; year=yr; decade; century; a.m.=am; p.m.=pm;
	mph=mi/h mile/hour; km/h=kph kmh kilometer/hour; m/s=meter/second; ft/s=foot/second; hertz=hz; newton=n; joule=j; watt=w; volt=v; kelvin=k;
	dollar=usd; cent=c; euro=eur; rupee=rs; yuan; yen; dime; quarter; nickel; penny; coin; bill;
	unit; acre; hectare; square; cube; radian=rad; degree=deg; byte; bit; term; digit; number; integer; value; pair; triple; triangle;
	rectangle; circle; point; line; edge; face; vertex; diagonal; side; angle; factor; divisor; multiple; solution; root; zero; intersection;
	way; arrangement; permutation; combination; outcome; possibility; choice; path; route; color; sequence; subset; set; function; polynomial;
	person=people; student; child; boy; girl; man; woman; adult; teacher; friend; player; team; worker; member; guest; voter; customer;
	apple; orange; banana; egg; cookie; cake; pie; pizza; slice; piece; candy; marble; ball; bag; box; basket; bottle; can; card; ticket; book; page; pen;
	pencil; stamp; flower; tree; plant; car; bus; train; bike; wheel; dog; cat; bird; fish; cow; chicken; horse; sheep; animal; house; room; window;
	brick; tile; block; shirt; shoe; sock; pound; hit; game; point; vote; step; lap; trip; turn; round; time; word; letter; question; problem; test; item; toy;
	block; seat; table; chair; employee; gift; gallon; ounce; stick; stone; rock; seed; leaf; tooth; rope; foot; song; movie; class; school`)

// units makes the table: each entry is a name, or name=other forms.
func units(table string) map[string]string {
	m := map[string]string{}
	for entry := range strings.SplitSeq(table, ";") {
		name, others, _ := strings.Cut(strings.TrimSpace(entry), "=")
		m[name] = name
		for _, other := range strings.Fields(others) {
			m[other] = name
		}
	}
	return m
}

// fillers may stand beside a unit and change nothing.
var fillers = names(`of the per total different distinct possible right full`, ``)

// unitName is the canonical name of the words behind a number, and whether each of them is in the list: "square inches" is
// inch^2. An empty name means that the words are no unit.
func unitName(text string) (name string, known bool) {
	words := unitWords(text)
	power := ""
	var parts []string
	known = len(words) > 0
	for _, w := range words {
		switch w {
		case "square", "sq", "squared":
			power = "^2"
			continue
		case "cubic", "cu", "cubed":
			power = "^3"
			continue
		}
		if fillers[w] != "" {
			continue
		}
		unit, ok := singular(w)
		known = known && ok
		parts = append(parts, unit)
	}
	if len(parts) == 0 {
		return power, known && power != ""
	}
	return strings.Join(parts, " ") + power, known
}

// unitWords cuts the text at spaces and drops what is only typography.
func unitWords(text string) []string {
	text = strings.ToLower(text)
	if w := strings.TrimSpace(text); w == "p.m." || w == "a.m." {
		return []string{w}
	}
	text = strings.Map(func(r rune) rune {
		switch r {
		case '.', ',', '{', '}', '$', '~', '\\':
			return ' '
		}
		return r
	}, text)
	return strings.Fields(text)
}

// singular is the canonical name of one word.
func singular(w string) (string, bool) {
	for _, form := range []string{w, strings.TrimSuffix(w, "s"), strings.TrimSuffix(w, "es"), replaceSuffix(w, "ies", "y"), replaceSuffix(w, "ices", "ex"),
		replaceSuffix(w, "men", "man"), replaceSuffix(w, "ves", "f"), replaceSuffix(w, "ren", "")} {
		if unit, ok := unitNames[form]; ok {
			return unit, true
		}
	}
	return w, false
}

func replaceSuffix(w, old, new string) string {
	if stem, ok := strings.CutSuffix(w, old); ok {
		return stem + new
	}
	return w
}

// Known says that a word of two and more letters has a meaning in a formula: a function, a constant, a unit, "and", "or".
func Known(word string) bool {
	lower := strings.ToLower(word)
	_, unit := unitName(lower)
	return unit || lower == "and" || lower == "or" || functions[word] != "" || plainConstants[word] != "" || greek[word] != "" || percentWords[lower] != "" ||
		degreeWords[lower] != ""
}

// percentWords and degreeWords are signs written out.
var (
	percentWords = names(`percent percents percentage pct`, ``)
	degreeWords  = names(`degree degrees deg`, ``)
)
