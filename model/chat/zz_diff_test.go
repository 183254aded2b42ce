package chat
import ("testing";"os";"encoding/json";"fmt";"strings")
func TestZZDiff(t *testing.T) {
	p := os.Getenv("CHATDIFF"); if p=="" {t.Skip("x")}
	data,_ := os.ReadFile(p); var g golden; if err:=json.Unmarshal(data,&g); err!=nil {t.Fatal(err)}
	bad:=0; printed:=0
	for _, c := range g.Language {
		c.Vars = g.Vars
		tm, err := Parse(c.Template); var seg []Segment
		if err==nil { seg, err = tm.Render(c.input(t,g)) }
		got := Join(seg)
		if (err==nil)!=(c.Error=="") || got!=c.Want {
			if err!=nil && (strings.Contains(err.Error(),"cannot be printed")||strings.Contains(err.Error(),"cannot be sliced") || strings.Contains(err.Error(),"string % ")) || strings.Contains(c.Error,"got 'else'") || strings.Contains(c.Error,"unhash") { continue }
			bad++
			if printed<40 { printed++; fmt.Printf("%q\n   got %q %v\n  want %q %s\n", c.Template, got, err, c.Want, c.Error) }
		}
	}
	fmt.Println("bad",bad,"of",len(g.Language))
}
