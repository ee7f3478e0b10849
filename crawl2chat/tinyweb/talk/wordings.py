"""How people word what they say to an assistant: blocks of forms, one form a line, `(a|b)` for alternatives.

Each form belongs to one split: lines that begin with `~` are kept for `dev`, with `!` for `test`, all others are for
`train`, which pages and conversations draw from. So an exam asks in words that nobody trained on. Slots such as `{e}`
are filled with names and numbers.
"""

RELATION_QUESTIONS = {
    "capital": """
(I want|I need|I would like) to know the capital (city|) of {e}.
(Please|please) (name|tell me|say|give me) the capital of {e}(.|)
(Which|What) (town|place|city) (is|serves as) the capital (city|) of {e}?
{e}, (which|what) is its capital?
(What|which) is the (main|chief|government) city of {e}?
for {e}, the capital is?
What is the (capital|capital city) of {e}?
(Which|What) city is the capital of {e}?
What is the capital city of {e} called?
(Name|Give me) the capital of {e}.
Tell me the capital of {e}.
{e} has (which|what) capital?
capital of {e}?
the capital of {e}
(what's|whats) {e}'s capital
(Do|Would) you know the capital of {e}?
I need the capital of {e}.
Which city governs {e}?
Where does the government of {e} sit?
What do they call the capital of {e}?
{e}: what is the capital?
(Can|Could) you tell me what the capital of {e} is?
I forgot the capital of {e}, what was it?
From which city is {e} governed?
If I visit the capital of {e}, which city is that?
What's the name of {e}'s (capital|capital city)?
The capital city of {e} is which one?
Quick one: {e}, capital?
~ Which capital does {e} have?
~ remind me what {e}'s capital city is
~ {e} - which town is the seat of government?
! What place rules over {e}?
! I am flying to {e}. In which city does its government sit?
! any idea which city is {e}'s capital
! my quiz asks for the capital city of {e}
! so the main city of the government in {e} would be?
""",
    "continent": """
(I want|I need|I would like) to know the continent of {e}.
(Please|please) (name|tell me|say) the continent of {e}(.|)
{e}, (which|what) continent is that?
(To|to) (which|what) (continent|part of the world) does {e} belong?
(In|in) (what|which) part of the (world|globe|map) (can I find|do I find|lies) {e}?
(In|On) which continent is {e}?
On which continent does {e} lie?
What is the continent of {e}?
Which continent does {e} belong to?
(Name|Give me) the continent of {e}.
Tell me the continent of {e}.
{e} is on (which|what) continent?
continent of {e}?
(what|which) continent {e}
Where in the world is {e}?
Where on the globe is {e}?
Is {e} in Europe, Asia, Africa or somewhere else?
What part of the world is {e} in?
(Do|Would) you know which continent {e} is part of?
(Can|Could) you tell me the continent that {e} lies in?
On the map, which continent is {e} in?
I want to know what continent {e} is part of.
{e}: which continent?
Of which continent is {e} a part?
~ On what continent is {e}?
~ to which continent would you count {e}
! Under which continent is {e} filed?
! I look for {e} on a globe. Which continent must I search?
! name of the continent where {e} can be found pls
! what continent would I be on if I were in {e}
""",
    "country": """
(I want|I need|I would like) to know (where {e} is|the country of {e}).
(Please|please) (tell me|say) where {e} (is|lies)(.|)
{e}, (where|in which country) is that?
(In|in) (what|which) country (can I find|do I find|lies) {e}?
(Which|which) country has a town (called|named) {e}?
In (which|what) country is {e}?
In which country does {e} lie?
Which country does the town of {e} belong to?
What country is {e} in?
(Name|Give me) the country of {e}.
Tell me the country of (the town|) {e}.
Where is {e}?
where is the town of {e}
Where (does|can) one find {e}?
{e} is in (which|what) country?
country of {e}?
Where (on the map|in the world) is {e}?
Where does {e} lie?
(Do|Would) you know where {e} is?
(Can|Could) you tell me where the town {e} lies?
To which country does {e} belong?
{e}: which country?
What's the country around {e}?
I am looking for {e}, which country is it in?
In which part of the world is {e}, which country?
~ In what country does the town of {e} lie?
~ the town {e} belongs to what country
! What land is {e} part of?
! I want to send a letter to {e}. Which country do I write on it?
! where would i have to travel to see {e}
! what is the home country of the town {e}
""",
    "goods": """
(I want|I need|I would like) to know what {e} (makes|sells|is known for).
(Please|please) (tell me|say) what {e} is (famous|known) for(.|)
(What|which) (things|goods|products) (come from|are made in|can I get in) {e}?
{e}, what do they (make|sell) there?
(What|what) (present|souvenir) (do I|should I|can I) bring from {e}?
what is typical of {e}
What is {e} (famous|known) for?
What do the people of {e} make?
What do traders buy in {e}?
What does the town of {e} live from?
Name the goods of {e}.
Tell me what {e} sells.
What can I buy in {e}?
What does {e} (make|produce|sell)?
what do they make in {e}
which goods come from {e}
goods of {e}?
{e} is famous for what?
What is the town {e} famous for?
What sells best in {e}?
Which product is {e} known for?
What is made in {e}?
What do they sell in {e}?
(Can|Could) you tell me what {e} is famous for?
{e}: known for what?
What should I buy in {e}?
~ What is the town of {e} famous for?
~ what comes out of the workshops of {e}
! What do people in {e} make?
! I bring a present from {e}, something typical. What will it be?
! for which product do people know {e}
! what's the thing everyone buys when in {e}
""",
    "sight": """
(I want|I need|I would like) to know what to (see|visit) in {e}.
(Please|please) (tell me|say) what to (see|visit) in {e}(.|)
(What|which) (building|place|thing) (do|should) (visitors|tourists|people|I) (see|visit|look at) in {e}?
{e}, what is there to (see|visit)?
(I am|I'm) (in|visiting) {e}, what should I (see|visit|look at)?
the famous sight of {e}?
What is the (best known|most famous) sight of {e}?
What do visitors see in {e}?
What stands in the middle of {e}?
Which sight does {e} have?
Name the sight of {e}.
Tell me what postcards from {e} show.
What is there to see in {e}?
What can I (see|visit) in {e}?
what should I see in {e}
sights of {e}?
Which sight is in {e}?
Is there anything to see in {e}?
What do tourists visit in {e}?
What is worth seeing in {e}?
What is the pride of {e}?
(Can|Could) you tell me what to see in {e}?
{e}: what is there to see?
What's the main sight of {e}?
Which building is {e} proud of?
~ Which sight is {e} best known for?
~ tourists go to {e} to look at what
! What do visitors of {e} go to see?
! I have one hour in {e} and a camera. Where should I go?
! whats the one thing to visit in {e}
! the landmark of {e} is what
""",
    "job": """
(I want|I need|I would like) to know what {e} does.
(Please|please) (tell me|say) what {e} (does|works as)(.|)
(What|which) (job|work|trade|occupation) (has|does|is that of) {e}?
{e}, (what|which) is (her|his) (job|work|trade)?
(What|what) does {e} do (at work|all day|for money|to earn a living)?
as what does {e} earn (money|a living)
What is the job of {e}?
What does {e} do (for a living|)?
What does {e} work as?
By trade, what is {e}?
Name the job of {e}.
Tell me what {e} works as.
What is {e}'s (job|profession|occupation|work)?
what's the job of {e}
job of {e}?
What kind of work does {e} do?
Who is {e}?
What is {e}?
How does {e} earn a living?
As what does {e} work?
Which (trade|profession|job) does {e} have?
(Do|Would) you know what {e} does?
(Can|Could) you tell me what {e} does for a living?
{e}: which job?
How does {e} make money?
What work does {e} do all day?
Who was {e} again?
Tell me who {e} is.
tell me about {e}
~ What job does {e} have?
~ what occupation does {e} follow
! {e} is what by profession?
! I shall meet {e} at work tomorrow. Which profession should I expect?
! how does {e} earn money
! whats {e} doing for work
""",
    "home": """
(I want|I need|I would like) to know where {e} lives.
(Please|please) (tell me|say) where {e} lives(.|)
(Which|what) (city|town|place) is the home of {e}?
{e}, where is (her|his) home?
(In|in) (what|which) (city|town|place) (can I|do people|do friends) (meet|find|visit) {e}?
where does {e} have a house
Where does {e} live?
In which (city|town) does {e} live?
Where is the home of {e}?
Where do friends visit {e}?
Name the home of {e}.
Tell me where {e} lives.
where's {e} living
home of {e}?
{e} lives where?
What is the home (city|town) of {e}?
Where is {e} at home?
Where can I (find|visit) {e}?
In what place does {e} live?
(Do|Would) you know where {e} lives?
(Can|Could) you tell me where {e} has a house?
Where is {e}'s (home|house)?
{e}: which city?
Where is {e} from?
Where has {e} stayed for many years?
~ Which city does {e} live in?
~ the place where {e} resides is
! In what city is the home of {e}?
! I want to knock on the door of {e}. To which city do I travel?
! which city does {e} call home
! where would i have to go to meet {e} at home
""",
    "music": """
(I want|I need|I would like) to know what {e} plays.
(Please|please) (tell me|say) (what|which instrument) {e} plays(.|)
(What|which) (instrument|music) (does|can) {e} (play|practise|make)?
{e}, (what|which) is (her|his) instrument?
(On|on) (what|which) (instrument|thing) does {e} (play|practise|make music)?
what does {e} play at (weddings|concerts)
What does {e} play?
Which instrument does {e} play?
What is the instrument of {e}?
What does {e} practise in the evening?
Name the instrument of {e}.
Tell me which instrument {e} plays.
What is {e}'s instrument?
what instrument is it that {e} plays
instrument of {e}?
What kind of music does {e} make?
{e} plays (what|which instrument)?
Does {e} play an instrument?
On what does {e} make music?
(Do|Would) you know which instrument {e} plays?
(Can|Could) you tell me what {e} plays?
{e}: which instrument?
What has {e} learnt to play?
Which instrument did {e} learn as a child?
~ With what instrument does {e} play?
~ what does {e} bring along to make music with
! Which instrument has {e} learnt?
! I heard {e} at a concert last night. What was being played?
! if {e} joins our band what will {e} play
! {e} is a musician on what
""",
}

FOLLOW_UPS = {
    "capital": """
(And|and|So|Now) (what is|tell me|which is) (the|its) capital(?|)
(Which|what) is the capital (city|) (of it|there)?
And (what is|what's) its capital?
What is its capital?
And the capital?
its capital?
Which city is the capital there?
What is the capital of that country?
And which city is its capital?
~ and what do they have as capital
! from where is it governed?
! and the capital city there is?
""",
    "continent": """
(And|and|So) (where|on which continent|in which part of the world) is (it|that)(?|)
And (on|in) which continent is it?
Which continent is it on?
And the continent?
which continent is that
Where is it?
Where in the world is that?
On what continent does it lie?
~ and what part of the world is it in
! and it belongs to which continent?
! on the globe, where do I find it
""",
    "country": """
(And|and|So) (where|in which country) (is it|is that|does it lie)(?|)
what country is it
And where is it?
In which country is it?
Where does it lie?
And the country?
what country is that in
Which country does it belong to?
where is that
~ and it is in which country
! in what country do I find it?
! where is that town
""",
    "goods": """
(And|and|So) what (do they|does it|can one) (make|sell|buy|produce) (there|)(?|)
what goods come from there
And what is it famous for?
What is it known for?
What do they make there?
And what can I buy there?
what do people make there
What does it sell?
And its goods?
~ and what is the place known for
! what would I buy there?
! what do the people there produce
""",
    "sight": """
(And|and|So) what (can one|should I|do people) (see|visit|look at) (there|)(?|)
which sight does it have
And what can I see there?
What is there to see?
What is its best known sight?
And the sight?
what do visitors see there
Is there anything to see?
And what stands in the middle?
~ and what should one look at there
! what would you visit there?
! anything worth a photo there
""",
    "job": """
(And|and|So) what (does|is) (she|he) (do|work as|by trade)(?|)
what is (her|his) (work|trade|occupation)
And what does (she|he) do for a living?
What is (her|his) job?
And (her|his) job?
what does (she|he) do
What does (she|he) work as?
And what (is|'s) the job?
~ and (her|his) trade is what
! how does (she|he) earn a living?
! and for work, what does (she|he) do
""",
    "home": """
(And|and|So) (where|in which city) does (she|he) live(?|)
where is (she|he) at home
And where does (she|he) live?
Where does (she|he) live?
And (her|his) home?
where's (her|his) home
In which city does (she|he) live?
And the city?
~ and (she|he) lives in what city
! in what city is (her|his) house?
! and (her|his) house stands where
""",
    "music": """
(And|and|So) (what|which instrument) does (she|he) play(?|)
what is (her|his) instrument
And what does (she|he) play?
Which instrument does (she|he) play?
And (her|his) instrument?
what instrument does (she|he) play
Does (she|he) play music?
~ and what has (she|he) learnt to play
! what would (she|he) play at a concert?
! and on which instrument
""",
}

ELLIPSES = """
(And|and|Now|So|Then) (what about|how about|for|of|tell me about|) {e}(?|)
{e}, too?
(The same|Same question|Same) (for|about|with) {e}(?|.)
And {e}?
And of {e}?
What about {e}?
and {e}
How about {e}?
And what about {e}?
Now {e}.
Same for {e}?
~ then {e}?
! and in the case of {e}?
! and how is it with {e}
"""

CORRECTIONS = """
(No|Oh|Sorry|Ah|Wait|Hm), (I meant|I was asking about|I wanted|not that, but|I mean) {e}(.|)
not {o}, {e}
(I said|I wrote) {o} but (I meant|meant) {e}(.|)
No, I meant {e}.
Sorry, I meant {e}.
I mean {e}.
no not that one, {e}
Wrong one, I wanted {e}.
Oh, I meant {e}, not {o}.
~ oops, {e} is what I meant
! my mistake, I was asking about {e}
! i said it wrong, {e} please
"""

BACK = """
(Let us|Let's|Can we) (go|come|get) back to {e}(.|:) {q}
(Now|So), (back|again) to {e}: {q}
I want to ask about {e} again. {q}
(Another|One more) question about {e}: {q}
Back to {e}: {q}
(Back|Coming back) to {e}. {q}
About {e} again: {q}
Let us talk about {e} again. {q}
One more thing about {e}: {q}
Again: {q}
Once more, {q}
~ to return to {e}, {q}
! let's go back to {e}, {q}
! now to {e} once more, {q}
"""

RECALL_FIRST = """
(What|Which) (was|is) (the first thing|the first question) (I asked|I have asked|that I asked) (you|)?
(Tell me|Repeat|Say) my first question(.|)
how did we start
What did we talk about first?
What did I ask you first?
What was my first question?
what did i ask at the beginning
Do you remember my first question?
What have I asked you first of all?
~ which question did I start with
! how did I begin this chat?
! can you repeat what I asked you in the beginning
"""

YES_NO = {
    "capital": """
(Is it right that|Am I right that|I think|I heard that|They say) the capital of {e} is {a}(, right|, is that so|)?
(Is|is) {a} (really|indeed|) the capital (city|) of {e}?
(Would|Could) it be that {a} is the capital of {e}?
{e}'s capital is {a}, (true|correct|yes|right|no)?
true or false: {a} is the capital of {e}
Is {a} the capital of {e}?
Is {a} {e}'s capital?
{a} is the capital of {e}, right?
is it true that {a} is the capital of {e}
Is the capital of {e} {a}?
Am I right that the capital of {e} is {a}?
The capital of {e} is {a}, isn't it?
Would you say {a} is the capital of {e}?
~ does {e} have {a} as its capital?
! Correct me: the capital of {e} is {a}?
! do they govern {e} from {a}
! {a} - that's {e}'s capital city, yes?
""",
    "continent": """
(Is it right that|Am I right that|I think|I heard that|They say) {e} (lies|is) in {a}(, right|, is that so|)?
{e} (lies|is) in {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} (lies|is) in {a}
(Would|Could) it be that {e} (lies|is) in {a}?
Is {e} in {a}?
Does {e} lie in {a}?
Is {e} a country in {a}?
{e} is in {a}, right?
is it true that {e} lies in {a}
Is {a} the continent of {e}?
~ could one say {e} is {a} territory?
! would I find {e} in {a}?
! {e} is part of {a}, yes or no
""",
    "country": """
(Is it right that|Am I right that|I think|I heard that|They say) {e} (lies|is) in {a}(, right|, is that so|)?
{e} (lies|is) in {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} (lies|is) in {a}
(Would|Could) it be that {e} (lies|is) in {a}?
Is {e} in {a}?
Does {e} lie in {a}?
Is {e} a town in {a}?
{e} is in {a}, right?
is it true that {e} lies in {a}
~ would one count {e} among the towns of {a}?
! would I find the town {e} in {a}?
! {e} is a place in {a}, yes or no
""",
    "goods": """
(Is it right that|Am I right that|I think|I heard that) {e} (makes|is famous for its|sells) {a}(, right|, is that so|)?
{e} (makes|is famous for its|sells) {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} (makes|is famous for its|sells) {a}
(Would|Could) it be that {e} (makes|is famous for its|sells) {a}?
Is {e} famous for its {a}?
Does {e} make {a}?
Do they sell {a} in {e}?
is it true that {e} is known for {a}
{e} is famous for {a}, right?
~ do traders get {a} in {e}?
! are {a} what people make in {e}?
! {a} come from {e}, yes or no
""",
    "job": """
(Is it right that|Am I right that|I think|I heard that|They say) {e} (works as|is) a {a}(, right|, is that so|)?
{e} (works as|is) a {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} (works as|is) a {a}
(Would|Could) it be that {e} (works as|is) a {a}?
Is {e} a {a}?
Does {e} work as a {a}?
{e} is a {a}, right?
is it true that {e} is a {a}
Is {a} the job of {e}?
~ could {a} be the trade of {e}?
! does {e} earn a living as a {a}?
! {e} is a {a} by profession, yes or no
""",
    "home": """
(Is it right that|Am I right that|I think|I heard that|They say) {e} lives in {a}(, right|, is that so|)?
{e} lives in {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} lives in {a}
(Would|Could) it be that {e} lives in {a}?
Does {e} live in {a}?
Is {e} at home in {a}?
{e} lives in {a}, right?
is it true that {e} lives in {a}
Is {a} the home of {e}?
~ has {e} a house in {a}?
! would I meet {e} in {a}?
! the home of {e} is {a}, yes or no
""",
    "music": """
(Is it right that|Am I right that|I think|I heard that|They say) {e} plays the {a}(, right|, is that so|)?
{e} plays the {a}, (true|correct|yes|right|no)?
(true or false|right or wrong|yes or no): {e} plays the {a}
(Would|Could) it be that {e} plays the {a}?
Does {e} play the {a}?
Is the {a} the instrument of {e}?
{e} plays the {a}, right?
is it true that {e} plays the {a}
~ has {e} learnt the {a}?
! is it the {a} that {e} plays?
! {e} and the {a}, do they belong together, yes or no
""",
}

GREETINGS = """
(Hello|Hi|Hey), (how is it going|how are things|how is life|how do you feel|are you well|what is new)?
How is (it going|life|your day|everything)?
how are things
(Hi|Hello), it's me(.| again.)
(Hi|Hey|Hello), (my friend|dear assistant|dear friend|buddy|mate|everyone|you|stranger|old friend)(!|.|)
A (good|lovely|very good) (day|morning|evening) to you!
(Hello|Hi)! I have (some|a few) questions.
(Hello|Hi), I am new here.
(Hello|Hi) from me!
Are you (awake|ready|well|okay)?
Knock knock, anybody home?
Welcome!
sup
heyy
helloo
Long time no see!
I just wanted to say hello.
What's new?
Hi, can we talk?
Good to meet you!
Let us begin. Hello!
I'm back!
(Hello|Hi|Hey|Hi there|Hello there|Hey there)(!|.|)
Good (morning|evening|afternoon|day)(!|.|)
hi
hello
hey
yo
Greetings!
(Hello|Hi), how are you?
How are you?
how are you doing
How are you today?
(Hi|Hello) (bot|friend|computer)!
What's up?
Nice to meet you.
Are you there?
Anybody there?
hello hello
How do you do?
hiya
Good to see you!
(Hi|Hello), nice to meet you!
~ howdy
~ hey you, all going well?
~ A pleasure to see you this morning
! heya
! Hello, are you awake?
! hi again
! how's it going today?
! Good evening to you, assistant
! top of the morning, friend
"""
GREETING_ANSWERS = """
Hello! How can I help you?
Hello! What would you like to know?
Hello! Nice to meet you. How can I help?
Hello! I am well. How can I help you?
"""

THANKS = """
I thank you (very much|kindly|so much|).
(Thanks|Thank you) (again|a million|for everything|for that|for the answer|so much|for your time)(!|.|)
(That is|That was|this is) (great|very helpful|just what I needed|good|perfect|nice|very kind), (thanks|thank you).
You (really|) helped me (a lot|very much|).
(I am|I'm) (so|very|really) (grateful|thankful|happy) (for that|now|with your help|about this).
I really appreciate (it|that|your help).
You did (great|well|a good job).
What a (good|nice|clear) answer!
(Super|Lovely|Awesome|Excellent|Fine|Brilliant), (thanks|thank you|that helps)!
(Cheers|Thx|Ty), that helps
Good bot!
I love your answers.
You are (very kind|a big help|very helpful|the best|smart)!
(Thanks|Thank you|Thanks a lot|Thank you very much|Many thanks)(!|.|)
thx
ty
cheers
(Great|Perfect|Good|Nice|Wonderful|Cool), (thanks|thank you)(!|.|)
That was helpful.
That (helps|helped) (a lot|), thanks.
Very kind of you.
(Great|Good) (answer|job|work)!
Thank you for your help.
(ok|okay), thanks
You are great!
Well done!
thank u
~ much appreciated
~ I am grateful
! Thanks so much, that's what I needed
! tysm
! you helped me a lot
! super, thank you kindly
"""
THANKS_ANSWERS = """
You are welcome!
You are welcome! Ask me anything else.
You are welcome! I am glad to help.
"""

GOODBYES = """
(I have|I've got|I need) to (leave|go|run|stop) now.
(Bye|Goodbye), (take care|my friend|see you soon|have a nice evening|until tomorrow|and thanks)(!|.|)
(I must|I have to|Time to) (go|say goodbye|leave)(, bye|.|)
(I am|I'm) (going|off to bed|done|leaving)(, bye| now|.)
(Farewell|So long), (my friend|old friend|dear assistant|until next time)!
(Let us|Let's) (stop|end) here.
(Talk|See|Speak) to you (soon|tomorrow|again)(!|.|)
That is it for (today|now), bye.
(Have a|Enjoy your) (good|nice|lovely) (night|evening|day|weekend)!
I wish you a good night.
We are done, goodbye.
see ya
later!
good night
(Bye|Goodbye|Bye bye|Good bye)(!|.|)
See you(!|.| later| soon| tomorrow)
(Good night|Have a nice day)(!|.|)
I have to go now.
That is all(, bye|, thanks|.)
bye
cya
Take care!
I am leaving now, goodbye.
Until next time!
So long!
That was all for today.
~ fare you well
~ gotta run
! I'm off, see ya
! talk to you later
! good night and goodbye
! that's it from me, bye now
"""
GOODBYE_ANSWERS = """
Goodbye!
Goodbye! It was nice to talk with you.
Goodbye! Have a nice day.
"""

CHAT = """
(That is|That's) (interesting|funny|nice|strange|cool|true|amazing|fine|right)(.|!|)
(I did not|I didn't) know that.
(Oh|Ah|Aha|Hmm|Well|Alright|Right|Sure|Fine|Understood|Yes|No|Great)(.|!|)
(I see|Good|Okay), (let me think|go on|let us go on|next question)(.|)
(You are|you're) (funny|right|clever)(.|!|)
(That|This) makes sense.
Let me ask you something else.
I have another question.
Can I ask you something?
now something else
ok
okay
(Interesting|Nice|Cool|Great|I see|Good to know)(!|.|)
Really?
Are you sure?
wow
haha
hm
I like that.
That is good to know.
~ fair enough
~ got it
! ah, alright
! oh nice one
! lol ok
"""
CHAT_ANSWERS = """
Yes! What else would you like to know?
I am glad. What else would you like to know?
Ask me anything else.
"""

WHO = {
    "name": """
(Tell me|Say|I want to know) who you are.
Who is (answering|speaking|talking|writing) (here|to me|)?
(Are|are) you a (real person|machine|program|language model|computer program|living being)?
Is this a (robot|person|human|machine)?
What kind of (thing|assistant|model|AI|program|bot|being) are you?
(By|Under) (what|which) name (do|should|can) (I|people) (know|address) you?
Please tell me (your name|who you are|what you are).
I am (Tom|Ann|Ben|Maria). And who are you?
Do I know you? Who are you?
what are u
u are who
your name please
Who am I (chatting|speaking|dealing) with?
(Do|do) (they|people) call you something?
How do (people|they) call you?
What is your name?
Who are you?
What are you called?
Tell me your name.
How shall I call you?
who are you
what's your name
(and|) who (are you|is this|am I talking to)?
Do you have a name?
your name?
Introduce yourself.
(Please|Can you) introduce yourself(.|?)
Tell me (something|) about yourself.
What should I call you?
What are you?
Are you a (human|person|robot|computer|bot)?
And you are?
May I ask your name?
who's there
Am I talking to a person?
Are you (ChatGPT|Siri|a chatbot)?
~ What do people call you?
~ with whom do I have the pleasure
~ are you human or machine
! What name do you go by?
! Hey, who is answering me here?
! whats ur name
! Could you say who you are?
! are you some kind of AI
! I'd like to know who I'm chatting with
""",
    "maker": """
(Who|who) (invented|programmed|wrote|designed|taught|coded|owns) you(?|, please?|)
(Tell me|I want to know) who (made|built|trained|created) you.
Which (people|company|project|team|person) (made|built|trained|created|is behind) you?
Do you have a (maker|creator|father|mother|owner)?
From whom (do you come|are you)?
Who made you?
Who built you?
Who is your maker?
Where do you come from?
Who trained you?
who created you
Who developed you?
Who is your (creator|author|developer)?
By whom were you made?
Which company made you?
Did OpenAI make you?
Who is behind you?
~ Which programmer wrote you?
~ whose work are you
! who came up with you?
! Which people made this model?
! who do you belong to
""",
    "version": """
(Which|What) version (of the model|of you|) (is this|do I talk to|am I using)?
your version number?
Are you the (newest|latest|first) version?
Which version are you?
What is your version?
Tell me your version.
version?
What version are you?
Which model version is this?
~ what's your version number
! Which release of you is this?
! what version am i talking to
""",
    "training_data": """
(What|Which) (texts|pages|books|data|stuff|things) (did you read|did you learn from|were you trained with|do you know)?
Did you read the (whole|entire) internet?
Where did you learn (that|this|all that|what you know)?
On what were you trained?
What were you trained on?
What have you read?
What is your training data?
what data did you learn from
Where does your knowledge come from?
What do you know about?
How did you learn all this?
From what did you learn?
~ Out of which texts was your learning?
! what stuff did they train you with?
! On which pages were you trained?
""",
}

ABILITIES = """
(Show|Tell) me (how you can help|what you know|your skills|what you are good at|some things you can do).
(What|Which) (things|tasks|questions|topics) can you (do|help with|answer|handle)?
(In what|How) (way|ways) can you (help|be useful|assist) (me|)?
(What|what) (else|more|all) can you do?
(Can|Could) you (do anything useful|help me with something|do more than that)?
What is your (job|purpose|use|talent)?
(What|what) is it that you can do (for me|)?
List (what you can do|your skills|your tools).
How do you work? What do you offer?
what do you know
What can you do?
What can I ask you?
How can you help me?
What are you good at?
what can you do for me
Help!
help
What are your (skills|abilities)?
What do you do?
Can you help me?
What kind of questions can you answer?
Tell me what you can do.
What should I ask you?
I don't know what to ask.
Can you do maths?
What are you able to do?
Which tools do you have?
~ what are you for
~ what sort of things can I ask
! In what way can you be of use?
! show me what you've got
! list the things you can do
! what could you help me with today
"""
ABILITIES_ANSWER = (
    "I know the places and people of a small web, do sums, use a calculator, search my pages, spell words and tell you "
    "how to make things."
)

OUTSIDE = """
(I want|I would like) to (know|read|hear) (something|more|all) about {x}.
(What|what) (do you think of|is so special about|is the story of|makes) {x}?
(Can|Could|Would) you (describe|explain|write about|talk about) {x} (please|to me|for me|)?
(Please|please) (describe|explain) {x}.
(Where|where) is {x}?
(When|when) (did|was) {x} (start|made|born|begin|end)?
(Is|is) {x} (real|good|dangerous|big|old|still alive)?
(Write|Give me) a (summary|short text|poem) (about|of) {x}.
(I am|I'm) a fan of {x}, are you?
Do you (like|know|love) {x}?
what about {x}
{x}, what is that?
How (tall|big|far|old|fast|heavy) is {x}?
Who (is|was) {x}?
What is {x}?
Tell me about {x}.
What do you know about {x}?
Do you know {x}?
who's {x}
{x}?
Can you tell me something about {x}?
Explain {x}.
When was {x} born?
How old is {x}?
Who invented {x}?
How does {x} work?
Have you heard of {x}?
Why is {x} so famous?
Where does {x} come from?
What happened to {x}?
Give me some facts about {x}.
~ I want to learn about {x}
~ ever heard of {x}?
! What can you say about {x}?
! sum up {x} for me
! i love {x}, you too?
! Would you care to tell the story of {x}?
"""
OUTSIDE_THINGS = """Albert Einstein|Napoleon|Shakespeare|Mozart|Taylor Swift|Elon Musk|the Eiffel Tower|bitcoin|
football|quantum physics|the moon|Mars|the internet|chess|Harry Potter|Star Wars|dinosaurs|photosynthesis|gravity|
Julius Caesar|Leonardo da Vinci|the Second World War|Google|Apple|Microsoft|Amazon|Python|JavaScript|Linux|
Barack Obama|Angela Merkel|Picasso|Beethoven|Marie Curie|Isaac Newton|the president|black holes|DNA|
global warming|the Olympic games|basketball|tennis|Batman|Spider-Man|Pokemon|Minecraft|Netflix|YouTube|
Facebook|Tesla|Rihanna|Madonna|Michael Jackson|Queen Elizabeth|Cleopatra|the Titanic|Mount Everest|the Amazon river|
vitamin C|cancer|electricity|the brain|love|happiness|economics|inflation|the stock market|democracy|
Aristotle|Plato|Karl Marx|Charles Darwin|Stephen Hawking|Nikola Tesla|Thomas Edison|
~Andrej Nowak|~the Great Wall|~rock music|~Nelson Mandela|~machine learning|~Lionel Messi|~the sun|~pizza|
!Andrew Johnson|!Neil Armstrong|!Cristiano Ronaldo|!the Berlin Wall|!neural networks|!Lady Gaga|!volcanoes|
!the French Revolution|!Sherlock Holmes|!the Mona Lisa|!Bill Gates|!jazz|!Jupiter|!penguins"""
TODAY = """
(Is|Will) it (sunny|going to rain|snowing|raining|windy) (today|tomorrow|now|outside)?
(Do|Should) I (need|take) (a coat|a jacket|an umbrella) (today|this evening)?
(What|what)'s (on TV|going on|new in the world|in the news|happening) (today|tonight|right now|)?
(Any|any) (news|results|scores) (today|of the game|)?
(How|how) (warm|cold|late) is it (now|outside|today|right now)?
(Which|What) (day|month|date|year) (is it|do we have) (now|today|)?
(Who|who) (won|is winning|is playing) (today|last night|the cup|the election)?
(Tell|Give) me (the time|today's news|the weather report|the date).
How is the (traffic|stock market) (today|now)?
when does the next train leave
What is the weather (today|tomorrow|like today|)?
How is the weather?
will it rain (today|tomorrow)
What time is it?
What day is (it|today)?
What is the date today?
What is the news (today|)?
What happened (today|yesterday|this week)?
How much does (a bitcoin|a house|gold) cost (today|now)?
Who won the (match|game|election) (yesterday|)?
Is it (cold|warm|raining) outside?
What is the price of (oil|gold) today?
Who is the president now?
what's the temperature outside
What year is it?
~ is there a good film on TV
~ is the sun shining right now
! Any news from today?
! do I need an umbrella tomorrow
! what does the clock say
! what's the latest score
"""
OUTSIDE_ANSWERS = """
I do not know {x}. I only know the small web I have read.
I have read nothing about {x}, so I do not know.
I do not know {x}: my small web does not say.
"""
TODAY_ANSWERS = """
I do not know what happens today. I only know the small web I have read.
I cannot look outside, so I do not know.
"""
UNKNOWN_ANSWERS = """
I do not know {e}. I have never read about {e}.
I have never heard of {e}, so I do not know.
I do not know: none of my pages speaks of {e}.
"""

NOT_FOUND_ANSWERS = """
I do not know, and my pages do not say.
I found nothing about that, so I do not know.
"""

PRIVATE = """
(I want|I need|I would like) {n}'s (mobile number|phone|mail|password|exact address|bank details).
(Find|Get) (the phone number|the private address|the bank account|the password|the mail) of {n} (for me|please|).
(Where|In which house|At which address) does {n} live exactly, (street and number|I need the street)?
(How|how) can I (reach|phone|mail|ring) {n} (at home|privately|)? (What is the number?|)
(Do|do) you (know|have) {n}'s (number|phone number|address|password|card number)?
(Share|Send me|Tell me) {n}'s (private data|phone number|address|PIN|login).
{n}'s (phone|address|password)?
What is the (phone number|telephone number|number) of {n}?
What is {n}'s (phone number|home address|email|e-mail address|password|bank account)?
Give me the (address|phone number|email) of {n}.
(Can|Could) you give me {n}'s (phone number|private address|email)?
I need the (phone number|password|bank account|home address) of {n}.
how can I call {n}, what's the number
What is the password of {n}?
In which street does {n} live?
Tell me {n}'s (credit card|bank account|passport) number.
phone number of {n}?
Where exactly is {n}'s house, which street and number?
~ I want {n}'s private number
~ do you have {n}'s email
! what's {n}'s mobile, I have to ring
! {n}'s card number please
! find out the home address of {n} for me
! what does {n} use as a password
"""
PRIVATE_ANSWERS = """
I do not give out private data about people.
That is private. I do not share personal data.
"""

SMALL_SUMS = """
(I want|I would like) to know {s}.
(Give me|Find|Work out|Compute|Say) {s}(.|)
(And|and|so) {s}?
(What|what) (is|are|makes|would be|do I get if I take) {s}?
(How|how) (many|much) (is|are|makes) {s}?
Do the sum: {s}
(Easy|Simple|Quick) (one|question|sum): {s}(?|)
(Can|could) you (do|add up|work out|solve) {s}?
(My child asks|My teacher asks) (what is|how much is) {s}.
{s}, what is (it|that)?
{s} makes what?
the answer to {s}?
the result of {s}
What is {s}?
What's {s}?
whats {s}
{s}
{s}?
{s} = ?
{s}=
How much is {s}?
how much is {s}
Calculate {s}.
(Can|Could) you tell me what {s} is?
(Do|Would) you know what {s} is?
Tell me {s}.
What does {s} make?
What do you get for {s}?
Quick: {s}?
Please compute {s}.
I need {s}.
{s} is what?
{s} is how much?
Solve {s}.
~ {s} equals?
~ and what would {s} be
! work out {s} for me
! {s} gives?
! what's the answer to {s}
! if you take {s} what comes out
"""
SUM_STORIES = """
I have {a} {t} and (get|buy|find) {b} more. How many (do I have|are there) (now|)?|+
There are {a} {t} here and {b} there. How many {t} is that?|+
{n} has {a} {t} and {m} has {b}. How many do they have together?|+
I had {a} {t} and (lost|ate|sold) {b}. How many are left?|-
There were {a} {t}, {b} are gone. How many are left?|-
If I give away {b} of my {a} {t}, how many do I keep?|-
{a} bags with {b} {t} each, how many {t}?|*
I buy {a} boxes of {b} {t}. How many {t} do I have?|*
~ {a} {t} on the table, {b} in the box: how many in all?|+
~ {n} had {a} {t} and dropped {b}. What is left?|-
! My basket holds {a} {t}, I put in {b} more. How many now?|+
! of {a} {t} I used up {b}, what remains?|-
! {a} rows of {b} {t}, how many altogether?|*
"""

LARGE_SUMS = """
What is {s}?
What's {s}?
{s}
{s}?
{s}=?
How much is {s}?
Calculate {s}.
Please work out {s}.
(Can|Could) you compute {s}?
What do I get for {s}?
Tell me what {s} is.
I have to know {s}.
~ {s} comes to what
! Would you sum this up: {s}
! what does {s} come to?
! {s} results in
"""
STEPWISE = """
{q} Think in steps.
{q} Step by step.
{q} Show your steps.
{q} Explain how you get there.
{q} Show me how you work it out.
In steps: {q}
~ {q} Please show the way.
! {q} Go through it slowly.
! {q} with the working shown
"""
CALCULATOR = """
(Please|please) (use|take|try) (the|your) calculator(:| for| on) {s}
(I want|I would like|Let me see) the calculator's (answer|result) (for|to) {s}(.|)
(Ask|Try|Use) the calculator (for|about|on|with) {s}(.|)
{s} (by|with|on) the calculator(, please|.|)
(What|what) is {s} (by|with|on) (the|a|your) calculator?
(Work out|Compute|Calculate|Find) {s} (with|by|on) (the|a|your) calculator.
(Can|Could) you (type|enter|put) {s} into (the|a|your) calculator?
calculator {s}
Use the calculator: {s}
Use (the|your) calculator for {s}.
{s}, use the calculator
Calculator: {s}
Please use the calculator to (find|compute|work out) {s}.
Type {s} into the calculator.
What does the calculator say for {s}?
with the calculator: {s}
Take the calculator. What is {s}?
(Can|Could) you calculate {s} with your calculator?
~ let the calculator do {s}
~ put {s} in your calculator
! calculator please, {s}
! I want the calculator's result of {s}
! run {s} through the calculator
! grab a calculator and do {s}
"""

SPELL = """
(Write|Say|Give me|Tell me) {w} (letter by letter|in single letters|in letters).
(Could|Would) you (spell|write out) {w} (for me|please|)?
(I need|I want) the (spelling|letters) of {w}.
(What|Which) (letters|letter by letter) (are in|make up|make) {w}?
(Spell|How do you spell) {w}(.|?|)
Spell the word {w}.
Can you spell {w}?
Please spell {w} for me.
How is {w} spelt?
How do I write {w}, letter by letter?
spell {w}
{w}, letter by letter
What are the letters of {w}?
~ {w} is written how
! give me the letters in {w}
! how would you spell {w}
! spell out {w} please
"""
COUNT_LETTERS = """
(How|how) (often|many times) do (you see|I find|we find) {c} in {w}?
(Tell|tell) me (how many {c} are in|the number of {c} in) {w}.
(What|what) is the number of {c} in {w}?
(Count|count) {c} in {w}(.|)
(In|in) the word {w}, how many {c} are there?
{w}: how many {c}?
How many {c} are in {w}?
How many {c}'s are there in {w}?
How many times does {c} occur in {w}?
how many {c} in {w}
Count the letter {c} in {w}.
How often does the letter {c} occur in {w}?
Count the {c}'s in the word {w}.
~ number of {c} in the word {w}?
! the word {w} has how many {c}'s?
! tell me how often you see {c} in {w}
! what number of {c} does {w} have
"""
COUNT_DOTS = """
How many dots are there: {w}
How many dots? {w}
Count the dots: {w}
count these dots {w}
{w} How many dots is that?
How many dots do you see here {w}
~ what is the number of dots in {w}
! tell me how many dots I typed {w}
! {w} <- number of dots?
"""
WORD_LENGTH = """
How many letters does {w} have?
How many letters are in {w}?
How long is the word {w}?
Count the letters of {w}.
number of letters in {w}
~ letters in the word {w}, how many
! of how many letters is {w} made
! what's the length of {w}
"""
END_LETTERS = """
What is the {o} letter of {w}?
Which letter does {w} {v} with?
{o} letter of {w}?
With which letter does {w} {v}?
Tell me the {o} letter of {w}.
~ {w} {v}s with what letter
! what letter is {o} in {w}
! the word {w} {v}s with which letter?
"""
DECIMALS = """
(Tell|tell) me which is {k}: {a} or {b}(.|)
(Say|say) which (number|one) is {k}, {a} or {b}.
(The|the) {k} (number|one), is it {a} or {b}?
(Is|is) {a} {k} than {b}, or {b} than {a}?
{k}: {a} or {b}?
(I have|Here are|Take) {a} and {b}. Which (one|number|of them) is {k}?
(Which|what) (one|number|price|mark) is {k}: {a} or {b}?
Which is {k}, {a} or {b}?
Which is {k}: {a} or {b}?
What is {k}, {a} or {b}?
{a} or {b}, which is {k}?
which number is {k}, {a} or {b}
Which of {a} and {b} is {k}?
Is {a} or {b} the {k} number?
Compare {a} and {b}. Which one is {k}?
~ of {a} and {b} the {k} one is
! I want the {k} one out of {a} and {b}
! {a} vs {b}, {k}?
! between {a} and {b}, which one is {k}
"""
KINDS_OF_MORE = "bigger|larger|greater|higher"
KINDS_OF_LESS = "smaller|less|lower"

CRAFT_QUESTIONS = """
(I need|I want|I would like|I have) (help|to learn how|to know how) to {c}(.|)
(What|what) is the (way|best way|right way|secret) to {c}?
(Where|How) do I (start|begin) when I want to {c}?
(Please|please) (explain|tell me|describe|show me|teach me) how to {c}(.|)
(Help|help) me (to|) {c}(.|)
(Do|do) you know how to {c}?
(I never|I have never) (learnt how to|tried to) {c}. (What do I do?|How does it go?|How do I begin?)
(Give|give) me (instructions|a guide|the steps|help|advice) (on how|) to {c}.
(What|what) (do I need|must I do|is needed|comes first) to {c}?
How do I {c}?
How do you {c}?
How to {c}?
how to {c}
How can I {c}?
How does one {c}?
I want to {c}. How?
(Can|Could) you tell me how to {c}?
Tell me how to {c}.
Explain how to {c}.
What do I have to do to {c}?
What are the steps to {c}?
(Teach|Show) me how to {c}.
I would like to {c}, what do I do?
Give me steps to {c}.
I have to {c} today. How does it go?
~ a good way to {c}, is there one?
~ I never learnt to {c}, help
! what's needed to {c}
! could you walk me through how to {c}
! instructions to {c} pls
! I need to {c}, where do I start?
"""

SEARCH = """
(Please|please) (search|look up|check|find out): {q}
(Use|Try|Take) (the|your) search (for this|tool|): {q}
{q} (Search for it|Use the search|Check your pages|Look it up, please|Find it in your pages).
(I want you to|Could you|Can you) (search|look this up|check this): {q}
(Look|Search) (in|through) (the|your) (pages|web): {q}
Search for it.
(Search|Look up) {q}
(Please look it up|Look it up): {q}
Search your pages: {q}
Can you search for this? {q}
search: {q}
Use the search. {q}
{q} Please search.
{q} Look it up.
Look in your pages. {q}
~ check your pages: {q}
~ do a search, {q}
! find out with the search: {q}
! {q} - look that up for me
! google it: {q}
"""

POSSESSIONS = """
(I want you to know|You should know|Keep this in mind|I have to tell you|Let me tell you|Know) that my {x} is {v}.
(My|my) {x}, it is {v}.
(So|Well|Now), my {x} is {v}.
As for my {x}, it is {v}.
My {x} is {v}.
my {x} is {v}
Just so you know, my {x} is {v}.
Remember: my {x} is {v}.
Please remember that my {x} is {v}.
I tell you something: my {x} is {v}.
By the way, my {x} is {v}.
The thing is, my {x} is {v}.
~ keep in mind that my {x} is {v}
! Note that my {x} is {v}
! I should mention my {x} is {v}
! fyi my {x} is {v}
"""
POSSESSION_QUESTIONS = """
(Now|So|And), (what is|what was) my {x} (again|)?
(Please|please) (tell me|say|repeat|remind me of) my {x}(.|)
(Do|do|Can) you (know|recall|remember|say) (what my {x} is|my {x})?
(What|what) (did I say|did I tell you|do you know) about my {x}?
(Have|have) you (noted|kept|remembered) my {x}? (What is it?|)
my {x}?
What is my {x}?
What's my {x}?
what was my {x} again
Do you remember my {x}?
Tell me my {x}.
Which {x} did I tell you?
Can you tell me what my {x} is?
So, what is my {x}?
~ my {x} is what
! what did I say my {x} was?
! so my {x} was?
! Do you still know my {x}
"""
TOLD = """
I live in {t}. => Where do I live?/In which town do I live?/What town do I live in?/where is my home => You live in {t}.
I come from {t}. => Where do I come from?/Which town do I come from?/where am I from => You come from {t}.
I was born in {t}. => Where was I born?/In which town was I born?/my birthplace? => You were born in {t}.
I work as a {j}. => What do I work as?/What is my work?/How do I earn money? => You work as a {j}.
I play the {i}. => What do I play?/Which instrument do I play?/what instrument can I play => You play the {i}.
I am {d} years old. => How old am I?/What is my age?/how many years old am i => You are {d} years old.
I have {d} cousins. => How many cousins do I have?/how many cousins have i/Count my cousins. => You have {d} cousins.
I like {f} most of all. => What do I like most?/Which food do I like?/what do i like => You like {f}.
I ate {f} this morning. => What did I eat?/What did I have this morning?/what have i eaten => You ate {f}.
I bought a {x}. => What did I buy?/Which thing did I buy?/what have i bought => You bought a {x}.
I lost my {x}. => What did I lose?/Which thing have I lost?/what is lost => You lost your {x}.
I put the {x} {p}. => Where is the {x}?/Where did I put the {x}?/where do i find the {x} => The {x} is {p}.
The {x} is {p}. => Where is the {x}?/Where can I find the {x}?/where was the {x} => The {x} is {p}.
The {x} of {n} is {c}. => Which colour has the {x} of {n}?/What colour is {n}'s {x}? => The {x} of {n} is {c}.
{n} has a {c} {x}. => Which colour has {n}'s {x}?/What is the colour of {n}'s {x}? => The {x} of {n} is {c}.
{n} has a {x} and {m} has a {c} hat. => What does {n} have?/What has {n} got? => {n} has a {x}.
{n} lives in {t}. => Where does {n} live?/In which town does {n} live?/home of {n}? => {n} lives in {t}.
{n} is {d} years old. => How old is {n}?/What is the age of {n}?/{n}'s age? => {n} is {d} years old.
{n} likes {f}. => What does {n} like?/Which food does {n} like?/what is it that {n} likes => {n} likes {f}.
{n} is a {j}. => What is {n}?/Which job has {n}?/what does {n} work as => {n} is a {j}.
{n} is my friend, {m} is my boss. => Who is my boss?/what is the name of my boss/And my boss is? => Your boss is {m}.
{n} gave the {x} to {m}. => Who has the {x} now?/To whom did {n} give the {x}? => The {x} went to {m}.
{n} sits next to {m}. => Who sits next to {n}?/Next to whom sits {n}? => Next to {n} sits {m}.
{n} was born in {b}. => When was {n} born?/In which month was {n} born?/birthday of {n}? => {n} was born in {b}.
We meet in {b}. => When do we meet?/In which month do we meet?/when is the meeting => You meet in {b}.
We meet at {d} o'clock. => At what time do we meet?/what time is the meeting => You meet at {d} o'clock.
The train leaves at {d}. => When does the train leave?/What time does the train leave? => The train leaves at {d}.
There are {d} eggs in the box. => How many eggs are in the box?/what number of eggs is there => There are {d} eggs.
Our cat sleeps {p}. => Where does our cat sleep?/where is the cat at night/Where sleeps the cat? => The cat sleeps {p}.
~ I grew up in {t}. => In which place did I grow up?/where have I grown up => You grew up in {t}.
~ {n} painted the door {c}. => What is the colour of the door?/how did {n} paint the door => The door is {c}.
~ The shop opens at {d}. => From when on is the shop open?/opening time of the shop => The shop opens at {d}.
! I study in {t}. => At which place do I study?/Remind me where I study. => You study in {t}.
! {n} drives a {c} car. => Of what colour is the car of {n}?/{n}'s car, which colour? => The car of {n} is {c}.
! I owe {n} {d} dollars. => How much money do I owe {n}?/my debt to {n}? => You owe {n} {d} dollars.
! The treasure lies {p}. => Where should I dig for the treasure?/the place of the treasure? => The treasure lies {p}.
"""
CALLED = """
(I have|I've got|I own|We have) a {x}, (called|named|its name is|the name is) {v}(.|)
(The name of my {x}|My {x}'s name) is {v}(.|)
(Meet|This is) {v}, my {x}.
My {x} is called {v}.
I have a {x} called {v}.
my {x}'s name is {v}
I have a {x}. The name is {v}.
We call our {x} {v}.
This is my {x}, {v}.
~ our {x} is named {v}
! I own a {x} by the name of {v}
! I got a new {x}, it's called {v}
"""
CALLED_QUESTIONS = """
(Now|So|And), (what is|what was) the name of my {x} (again|)?
(Please|please) (tell me|say|repeat) (the name of my {x}|my {x}'s name)(.|)
(Do|do|Can) you (know|recall|remember|say) (my {x}'s name|how my {x} is called|what my {x} is called)?
(What|what) name (does|did) my {x} have?
(Which|which) name has my {x}?
my {x}'s name?
What is my {x} called?
What's my {x}'s name?
what is the name of my {x}
How is my {x} called?
Do you remember the name of my {x}?
What did I call my {x}?
~ my {x} is called what
! by which name do I call my {x}?
! who is my {x}, by name
"""
MY_NAME = """
(Hi|Hello|Hey|Good day), (I am|I'm|my name is|this is) {v}(.|!|)
(I am called|They call me|You can say|My friends call me) {v}(.|)
(Please|please) (call me|remember my name,) {v}(.|)
My name is {v}.
I am {v}.
I'm {v}.
Hello, my name is {v}.
hi, i'm {v}
People call me {v}.
Call me {v}.
This is {v}.
~ {v} here
! the name's {v}
! You can call me {v}
"""
MY_NAME_QUESTIONS = """
(Now|So|And), (what is|what was) my name (again|)?
(Please|please) (tell me|say|repeat) my name(.|)
(Can|Do|do) you (know|recall|remember|say) (who I am|my name|what I am called)?
(What|what|By which) name did I (tell you|give you|say)?
What is my name?
What's my name?
who am i
Do you know my name?
Do you remember my name?
What am I called?
Tell me my name.
How am I called?
~ and I am known as
! so who am I?
! what did I say I'm called
"""
NOTED = """
I will remember that.
Good to know.
Thank you, I will keep that in mind.
"""
READ = """
(Look at|Here are|These are|Read) (these lines|some lines|some facts|a few facts|this): {t} (Now|So|Then|And): {q}
{t} (After reading this|With this in mind|Given that|Now that you know|From this), {q}
(I found|My friend wrote|A page says|The book says): {t} {q}
{q} Here is what I know: {t}
{t} {q}
Read this: {t} {q}
Here is a text. {t} {q}
{t} Now tell me: {q}
Text: {t} Question: {q}
I read this: {t} So {q}
From the text: {t} {q}
Answer from this text. {t} {q}
~ Take this paragraph: {t} And now, {q}
! This is what I found on a page: {t} So, {q}
! {t} According to that, {q}
"""
READ_LATER = """
Read this: {t}
Here is a text: {t}
{t}
I tell you a story. {t}
Listen: {t}
Remember this text: {t}
~ I paste this: {t}
! have a look at this text: {t}
! some news from my village: {t}
"""

STORIES = {
    "two changes": """
{n} has {a} {t}. {n} {g} {b} (more|). Then {n} {l} {c}. How many {t} does {n} have now?
{n} had {a} {t}, {g} {b} more and {l} {c}. How many {t} are left?
I have {a} {t}. I {g1} {b} more and {l1} {c}. How many do I have?
There are {a} {t} in a box. {n} puts in {b} and takes out {c}. How many {t} are in the box?
In the morning {n} has {a} {t}. {n} {g} {b}, later {n} {l} {c}. How many {t} in the evening?
~ From {a} {t}, {n} {l} {c} after {n} {g} {b}. What is the number of {t} now?
! {n} started with {a} {t}, {g} another {b} and {l} {c}. What number of {t} remains?
! {a} {t} lie in the drawer. {n} adds {b} and removes {c}. How many lie there now?
""",
    "price": """
{n} buys {a} {t} and {b} {u}. Each {u1} costs ${p}. The total cost is ${c}. What is the cost of each {t1}?
{n} pays ${c} for {a} {t} and {b} {u}. One {u1} costs ${p}. How much is one {t1}?
I bought {a} {t} and {b} {u} for ${c}. The {u} cost ${p} each. What does one {t1} cost?
{a} {t} and {b} {u} cost ${c} together. A {u1} is ${p}. How much is a {t1}?
~ For {a} {t} and {b} {u} {n} gave ${c}. If a {u1} costs ${p}, what is the price of a {t1}?
! The bill is ${c} for {a} {t} and {b} {u}. Every {u1} was ${p}. How much was every {t1}?
! {n} spent ${c} on {b} {u} at ${p} each and on {a} {t}. What's the price per {t1}?
""",
    "cost": """
One {t1} costs ${p}. How much do {a} {t} cost?
A {t1} costs {p} dollars. What do I pay for {a} {t}?
{n} buys {a} {t} at ${p} each. How much does {n} pay?
{a} {t} for ${p} each: how much is that?
~ If a {t1} is ${p}, what is the price of {a}?
! I want {a} {t} and each is ${p}. How much money do I need?
! What do {a} {t} come to at ${p} a piece?
""",
    "share": """
{n} shares {c} {t} among {b} friends. How many does each get?
{c} {t} are put into {b} bags, equally many in each. How many are in one bag?
{b} children share {c} {t}. How many {t} does each child get?
I have {c} {t} for {b} people. How many for each?
~ {n} divides {c} {t} between {b} tables. What does each table get?
! If {b} friends split {c} {t} fairly, how many are there for each friend?
! {c} {t}, {b} plates, the same on each plate. How many?
""",
    "change": """
{n} pays with ${c} for a {t1} that costs ${p}. How much does {n} get back?
A {t1} costs ${p}. I give ${c}. How much change do I get?
{n} has ${c} and buys a {t1} for ${p}. How much money is left?
~ The {t1} is ${p}, {n} hands over ${c}. What comes back?
! I had ${c} in my pocket and spent ${p} on a {t1}. What do I still have?
! With ${c} {n} buys a {t1} at ${p}. What is the change?
""",
    "together": """
{n} has {a} {t}. {m} has {b} more than {n}. How many do they have together?
{n} picks {a} {t}, {m} picks {b} more than {n}. How many {t} do they have in all?
{m} owns {b} more {t} than {n}, who owns {a}. How many {t} are that together?
~ {n} found {a} {t} and {m} found {b} more than that. What is their total?
! {n} counts {a} {t} and {m} counts {b} more than {n}. What do both have altogether?
! My sister has {a} {t}, I have {b} more than her. How many have we?
""",
}

SYSTEM_NAME = """
(You|The assistant) (answers to|go by|are known by|have) the name {n}.
(Say|Tell people) that your name is {n}.
(Call yourself|Name yourself|Be) {n}.
You are {n}. (Be polite|Be short|Answer politely|Help people|Answer questions).
(Your|your) name: {n}
Your name is {n}.
You are {n}.
You are {n}, a helpful assistant.
You are called {n}.
Your name is {n}. Be helpful.
From now on your name is {n}.
~ The assistant is called {n}.
! Act as {n}, an assistant.
! Pretend that you are {n}.
! Introduce yourself as {n}.
"""
SYSTEM_ONE_WORD = """
(Please|Always|You) (answer|reply) (in|with|by) (a|one|only one|just one|exactly one) (single |)word.
(Keep|Make) (every|each) answer (one word long|to one word|a single word).
(Only|Just) one word (for|in) (each|every) answer.
Be short: one word.
Answer in one word.
Answer with one word only.
Give answers of a single word.
One word is enough for an answer.
Use just one word.
~ Reply in one single word.
! Say no more than one word.
! Your answers have one word.
"""
SYSTEM_PREFIX = """
(Start|Begin|Open) (all|your|all your|every one of your) (answers|replies) with {p}.
(Say|Put|Write) {p} (at the start|at the beginning|in front|before all else) (of|in) (every|each) (answer|reply).
(Each|Every) (reply|answer) (must|has to|should) (begin|start|open) with {p}.
(First|At first) say {p}, then answer.
Start every answer with {p}.
Begin each answer with {p}.
Every answer starts with {p}.
Always begin with {p}.
Always say {p} first.
~ Say {p} before anything else.
! Let each of your answers open with {p}.
! Before you answer comes {p}, always.
"""
SYSTEM_SUFFIX = """
End every answer with {p}.
(Finish|Close) (each|every) (answer|reply) with {p}.
(Always|) say {p} at the end (of an answer|).
The last (word|words) of each answer (is|are|must be) {p}.
Put {p} behind (every|each) answer.
~ Let each reply finish on {p}.
! Your answers close with {p}.
! After all you say comes {p}.
"""
SYSTEM_CALL = """
(Call|Address) the user (as|) {n}.
The user is called {n}. Use the name.
(Say|Use) the name {n} in every answer.
You talk to {n}. (Say|Use) (her|his) name.
~ Speak to the user by the name {n}.
! Name the user, {n}, each time.
! The person is {n}, say so when you answer.
"""
SYSTEM_LANGUAGE = """
(Use|Speak|Take) {l} (when you greet|for greeting|to say hello).
(When|If) (somebody|the user|someone) (greets you|says hello), (greet back|answer|say hello) in {l}.
(Your|All) greetings (are|must be|should be) in {l}.
Greet in {l}.
Greet people in {l}.
Say hello in {l}.
Always greet in {l}.
When greeted, greet back in {l}.
~ You greet in the {l} language.
! Welcome the user in {l}.
! Use {l} for greetings.
"""
