package latex

import "strings"

// functions are the names that take arguments, as commands and in plain notation, with the name that the tree has.
var functions = names(`sin cos tan sec csc cot sinh cosh tanh sech csch coth arcsin arccos arctan arcsec arccsc arccot
	ln log lg exp abs floor ceil gcd lcm max min det sqrt cbrt`,
	`asin=arcsin acos=arccos atan=arctan cosec=csc ctg=cot tg=tan arctg=arctan arsinh=arcsinh arcosh=arccosh artanh=arctanh
	arcsinh=arcsinh arccosh=arccosh arctanh=arctanh asinh=arcsinh acosh=arccosh atanh=arctanh ceiling=ceil factorial=factorial
	sgn=sign sign=sign`)

// constants in LaTeX and in plain notation.
var constants = names(`pi e i inf`, `infty=inf infinity=inf exponentialE=e imaginaryI=i oo=inf Pi=pi`)

// plainConstants are the constants that need more than one letter.
var plainConstants = names(`pi inf`, `infinity=inf infty=inf oo=inf`)

// greek letters are symbols like any other.
var greek = names(`alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega
	Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell hbar aleph nabla partial`,
	`varepsilon=epsilon vartheta=theta varphi=phi varrho=rho varsigma=sigma varpi=varpi imath=imath jmath=jmath`)

// relations and the signs that the tree has for them.
var relations = names(``, `le=<= leq=<= leqslant=<= ge=>= geq=>= geqslant=>= lt=< gt=> ne=!= neq=!= approx=~ simeq=~ sim=~ cong=~
	in=in notin=notin ni=ni subset=subset subseteq=subseteq supset=supset supseteq=supseteq perp=perp parallel=parallel equiv== doteq==`)

// spacing commands mean nothing.
var spacing = names(`quad qquad displaystyle textstyle scriptstyle limits nolimits left right middle bigl bigr bigm Bigl Bigr Bigm big Big
	bigg Bigg biggl biggr Biggl Biggr mleft mright nonumber notag par thinspace medspace thickspace enspace hfill centering
	mathstrut strut allowbreak nobreak rm bf it sf tt cal`, ``)

// fonts are commands whose argument is read as if they were not there, but for words, which become text.
var fonts = names(`text mbox textbf textit textrm textnormal textsf texttt textup mathrm mathbf mathit mathsf mathtt mathcal mathnormal
	boldsymbol operatorname hbox emph underline bm pmb mathop mathord hphantomless`, ``)

// marks are commands that make one symbol of what they stand over.
var marks = names(`overline bar vec hat widehat tilde widetilde overrightarrow overleftrightarrow overarc dot ddot wideparen angle triangle
	measuredangle square odot widebar`, ``)

// ignored are commands that are dropped together with their argument.
var ignored = names(`phantom hphantom vphantom hspace vspace color label tag mspace kern`, ``)

// punctuation commands stand for characters.
var punctuation = names(``, `cdot=* times=* ast=* bullet=* div=/ slash=/ colon=: lbrack=[ rbrack=] lbrace=\{ rbrace=\} lparen=( rparen=)
	vert=| lvert=| rvert=| mid=| Vert=\| lVert=\| rVert=\| lfloor=lfloor rfloor=rfloor lceil=lceil rceil=rceil langle=langle rangle=rangle
	cup=cup bigcup=cup cap=cap bigcap=cap setminus=setminus backslash=setminus smallsetminus=setminus pm=pm mp=mp land=and lor=or
	wedge=and vee=or degree=deg circ=circ prime=' emptyset=empty varnothing=empty ldots=dots cdots=dots dots=dots dotsc=dots dotsb=dots dotsm=dots
	to=to rightarrow=to longrightarrow=to bmod=mod mod=mod pmod=pmod lt=< gt=> Box=? infty=infty percent=% pounds=$ euro=$ yen=$ textdollar=$ dollar=$`)

// numberWords are the words that a text may be instead of digits.
var numberWords = strings.Fields(`zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
	seventeen eighteen nineteen twenty`)

// names makes a map of words that mean themselves and of word=meaning pairs.
func names(same, renamed string) map[string]string {
	m := map[string]string{}
	for _, w := range strings.Fields(same) {
		m[w] = w
	}
	for _, pair := range strings.Fields(renamed) {
		word, meaning, _ := strings.Cut(pair, "=")
		m[word] = meaning
	}
	return m
}
