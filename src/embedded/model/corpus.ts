import { Xorshift } from "./xorshift.ts";

const words =
  `the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she
there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could
these two may first then do any like my now over such our man me even most made after also did many off before must well back through
years where much your way down should because long each just state those people too how little good world make very year still see own
work men day get here old life both between being under three never know same last another while us might great go come since against
right came take used himself few house use place without again system around small found part number however home water room during order
high every general second business point least possible program public question school interest problem national government course company
country given field local present group development change show service several member office result word line process information report
level example data research study effect control value area form model theory answer follow request response user assistant tool agent
planner researcher writer reviewer supervisor editor coder tester analyst router summary document section paragraph reference source
citation query search index database table column record type string boolean object array required properties description parameter
function argument name arguments return returns error message content role instruction instructions step steps plan task tasks goal goals
finish finished complete completed continue review revise draft final output input format json markdown list item items bullet title
heading note notes context history conversation memory token tokens limit length short concise clear accurate precise relevant important
always ensure provide include exclude avoid consider explain describe analyze compare evaluate check verify confirm decide choose select
generate create update delete read write open close send receive call handle customer account payment invoice refund shipping delivery
address product price quantity stock discount contract policy rule law security access permission password network server client cache
storage file directory path version release build test deploy monitor metric latency throughput performance cost budget schedule deadline
meeting email calendar travel flight hotel booking weather finance market revenue profit growth risk feedback survey quality improve
reduce increase support team manager engineer language prompt template variable environment configuration option default range minimum
maximum average total percent const readonly workspace lines export topic import undefined map random finding run checks exports max arm
text next files options engine seed modules filter join revision turn missing count status interface log nothing done schema per decision
runs row pick evidence reason code verdict words passed null answers await demand owner slice names earlier route signal architect rows
true module key does end hints sage push failed mean let none false ready tools size find purpose problems uses set target arms async keep
values toolcall config contracts written case replace act prefetch started start say rules sentence wrong paths handover sum findings
exported goes waiting changed somebody left min typeof math decisions add messages named twice needs split cannot changes includes unknown
exist agents promise nobody library takes failing need minute empty rate whole hand repair store repaired newest known kind choice
contains listed pinned keeps amount once seen exactly smell wasted graph url else findindex design sections topics ran columns enum told
calls demo six please ten broken keys why behind others instead head queue already limits comment blocker documents stale failure nonce
seconds decided moves reading reads refused whose look together candidate something promises zod hit pairs unit pair sketch sketches throw
src ids severity current balanced rejected entries relative wait until whether outcome shown above mixed counted caller exec lists spread
langchain stats says writes adds donewhen means isstale recorded replaces cut yet computed pass lacks software planned waits equal ask
days four thousand counters questions plain prints anything objects bare console throws longer longest leaves fields half trim totals
likely minor omit writefile runchecks sentences unwritten quantile wants whatever floor bracket character wanted smells settle imports
guide failures kvtokens progress void plays prompts label date hours tests five exists fill inside real clock side want compute retries
best give fifty letter mistake core move enough functions carry position comes early whom flag switch within numbers put leave outside
itself parse median simple seeds accuracy signed share node openai turns running chosen chunks usage capacity constant waived class
mentions fails tell existing thing weights alone decides unclosed closed int breaks repairs replaced pending fail reports intent complaint
follows headings twin worded owners routing torow times shared differed differing unnamed played onrun paid invoices parts members late
removes silent stay anchor ordered holds diff among whoever round sees ticket person cents hive jobs depend job extend heart gets accepted
lost month customers single flags eight third beats full twelve often entry belongs pure types extends ends points buildteam runconfig
base fresh try embedded namednext later reaches sent chunk stored tosorted got asks signature tospliced far bad ship major fixed urgent
noun cached nextagent asked errors hint cause seeded match older break ranked saw closing limited pop xoroshiro plus generator yourself
verb settled define regex method numbered repairof skipped states pitfalls audit either protects mended unasked fact freed realtasks
reader kept reported rounding tie rotate pins sort whenever users ones payments age court week free across collect readings sensors gives
sensor lowest highest raise flat command links link print articles shelf article smaller limiter maps variables differ english parser
volume duration slowest gaps million stream eighty singers seating wish stand stands taller wishes solution propose counts worse frequent
normal rank fewest ninety tickets adults children covers depends rest cycles city seven costs nested added arrays contain watch samples
clean remove jumps makes event game checked rebuilt replay payer stated songs artist tempo repeated hour thirty street postal adding
accept declares regexp really zodobject busy style border pqueue attached play finally invoke aimessage langgraph besides spec reducer
builder compile threadid bindtools tail concat validate isfinite wrote hands summarise largest flaws body became works additem puts
included addcheck standing models ending catch knows brought become better exact following large otherwise today private weight upper
brackets literals closes rand routes uniform draw looks records tested cheaply happens differs praise speaks leaf arrives identity callers
loop lets formats inputs units readfile shows permitted compiler starts opened smallest walk behaviour adapt newcomer hold notice covered
addchecks evaluates showcheck asking green reporting separate suspicion showplan proof able according actually agree allow along although
analysis anyone appear apply approach argue arrive attention attempt author authority background balance basic basis beautiful began begin
behavior believe benefit big bill bit black block blue board bottom bring brown bug building built button buy byte cancel capable capture
card care center century certain certainly chance chart cheap circle claim classes click cloud college color combine commit common
component concern condition connect connection convert correct cover crash daily danger dark dead deal death debug deep degree delay
detail develop device difference different difficult digit direct discover display double doubt drive drop dynamic earth easily edge edit
education element enable enter entire escape especially eventually except expect expected express extra face fall familiar family fast
feature feed feel figure fine fire fit fix float flow focus folder font force foreign forget forward frequency front future gave girl git
glass global going gold gone goods grade gray ground grow guard guess handler hang happen happy hard hash header health hear heavy height
held hello help hidden hide hook host hot hub huge human hundred icon idea identify idle ignore image indicate individual inner insert
install instance integer internal interval invalid issue iterate jump kernel kill knew lack land layer layout lead leader learn legacy
less lib license light listen live load lock logic lose lot love low lower machine main manage manual mark mask material matter maybe
measure media medium menu merge meta middle mind mix mobile mock mode moment morning mostly mount mouse movement multi mutable native
nature near necessary news nice night observe obvious occur odd offer online operation orange ordinary origin original outer overall
override pack package page panel paper parallel parent partial party past patch pattern pause payload peer perhaps period phase phone
physical picture piece pin pipe pixel placeholder platform player plugin pointer poll pool poor popular port positive possibly post power
practice prefer prefix press prevent preview previous primary probably produce profile project proper property protect protocol proxy
publish pull quick quiet quite quote rare raw reach react recent red refer reflect refresh register reject relate relation reload remain
remember remote rename render repeat replica reply repo represent require reserve reset resize resolve resource respond restart restore
retry reuse reverse rewrite rich ring rise river road robust roll root runtime safe sample sandbox save scale scan scene scope score
screen script scroll sea season seat secret seem segment self senior sense sequence serial serve session setting setup severe shape sharp
sheet shell shot sign similar simply site skill skip sleep slow smart smooth snapshot social socket soft solve someone sound span spawn
speak special specific speed spend spot square stack staff stage standard star stat stop story straight strict strong struct subject
submit subset succeed success sudden suffix suggest summer super sure surface symbol sync syntax tab tag talk taste taught teach temp term
terminal thank theme think thought thread threshold thus tick tier tight tile timeout timer timestamp tiny toggle tone top touch toward
town trace track trade train transform tree trigger trip trouble trust truth tuple typical unable union unique unless unused upon usual
usually utility valid various vertical view virtual visible visit voice wall warm warn warning wasn wave weak web west white wide width
wild win wind window wire woman won wonder wood worker workflow worry worst worth wrap wrapper yellow yes yesterday young zero zone zoom`
    .split(/\s+/)
    .filter((word) => word.length > 0);

const closings = [
  ". ",
  ".\n",
  "? ",
  ":\n- ",
  ";\n",
  ". ",
  ", ",
  ", ",
  " (",
  ") ",
  '": "',
  '", "',
  "\n\n",
  '": {"',
  '"},\n  "',
  '":{"type":"',
  '","description":"',
  '"}},"required":["',
  '":[{"',
  "\n\n1. ",
  " - ",
  "(): ",
  " => ",
  ");\n",
  " = ",
  "`",
  "/",
  "_",
  ".ts",
];

/** Text in the manner of agent prompts, the same for every call; only the tokenizer learns from it. */
export function corpus(): string {
  const random = new Xorshift(0x5a6e);
  let text = words.map((word) => ` ${word}`).join("");
  for (let sentence = 0; sentence < 6000; sentence++) {
    const length = 4 + random.below(12);
    for (let index = 0; index < length; index++) {
      // Squaring favours the head of the list, as common words do.
      const word = words[Math.floor(random.unit() ** 2 * words.length)] ?? "the";
      text += index === 0 ? word[0]?.toUpperCase() + word.slice(1) : ` ${word}`;
    }
    text += closings[random.below(closings.length)];
    if (sentence % 9 === 0) text += `${random.below(2000)} `;
  }
  return text;
}
