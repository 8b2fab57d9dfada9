"""The words of `eggym.envs.wordle`: common English words of five letters, gathered by topic; each stands once."""

_BY_TOPIC = {
    "animals": """
        adder beast bison bunny camel chick cobra crabs crane eagle finch gecko goose heron hippo horse hound hyena
        kitty koala larva lemur llama moose moths mouse mules otter panda perch prawn puppy raven rhino robin shark
        sheep skunk sloth snail squid stork swine tapir tiger trout viper whale worms zebra
    """,
    "plants": """
        acorn apple aspen basil beech berry birch bloom cacti cedar chive clove cumin daisy ferns fruit grain grape
        grass hedge ivory leeks lemon lilac maize mango maple melon mossy olive onion palms peach petal plant poppy
        roots seeds shrub stalk straw thorn thyme trunk tulip twigs wheat
    """,
    "food": """
        bacon bagel bland bread broth candy chewy chili cider cocoa cream crisp crumb crust curry donut dough drink
        feast flour fudge gravy gumbo honey icing jelly juice juicy kebab latte liver lunch mints mocha pasta patty
        pizza puree roast salad salty sauce scone snack spice steak sugar sushi sweet syrup tangy tasty toast wafer
        yeast
    """,
    "home": """
        attic bench bowls brick broom brush cabin chair clock couch drain fence flats floor forks frame glass hinge
        hotel house igloo knife lamps latch light lodge motel panel patio plate porch quilt rooms sheet shelf spoon
        stair stool suite table tiles towel villa walls yards
    """,
    "clothes": """
        apron badge beads boots cloak coats crown denim dress glove heels jeans jewel linen pants purse robes satin
        scarf shirt shoes skirt socks strap sweat tiara visor watch woven
    """,
    "body": """
        ankle beard belly blood bones brain cheek chest elbow flesh heart joint knees lungs mouth nails nerve organ
        scalp skull spine teeth thigh thumb tooth torso waist wrist
    """,
    "nature": """
        amber ashes beach blaze bluff brook cliff cloud coast comet coral creek delta dunes dusty earth field flame
        flood foggy frost glade globe gorge grove hills humid lakes lunar marsh metal misty mount muddy north oasis
        ocean orbit pearl polar ponds rainy ridge river rocks sands shore smoke snowy solar south space spark stars
        steel stone storm sunny swamp tides water waves wilds windy world
    """,
    "time": """
        about after again ahead daily dated delay early epoch hours later month never night often since today until
        weeks while years
    """,
    "people": """
        actor adult agent aunts baker bride buyer chief child class clerk coach crowd elder enemy groom group guard
        human judge loser lover maker mayor miner niece ninja noble nurse owner party pilot pupil queen rider rival
        rogue ruler saint scout squad staff thief tribe troop tutor twins uncle voter widow woman women youth
    """,
    "actions": """
        adapt admit adopt agree allow alter amuse apply argue arise avoid awake begin blame blend bless boast boost
        brake break bring build burst carry catch chant chase cheat check cheer choke claim clean climb cling close
        count cover crash crawl cross crush dance dodge doubt draft dream drift drive enjoy enter erase evade exert
        exist faint fetch fight flash flick fling float focus force glide grant grasp greet grind growl guess guide
        hatch haunt heave hurry imply infer kneel knock label laugh learn leave limit lunge march marry match merge
        mimic mourn occur offer order paint parse pause pinch pitch place plead pluck point pound press prove punch
        quote raise rally reach react rebel recap refer relax renew repay reply rinse rouse scare scold score scrub
        sense serve shake share shave shift shine shoot shout shove shrug skate sleep slice slide smell smile sneak
        sneer snore solve speak spell spend spill split spoil spray squat stack stain stamp stand stare start steal
        stick sting stomp store strip study surge swear sweep swing swirl teach tease tempt thank think throw touch
        trace track trade train treat trick trust twist unify unite upset usher visit vouch waste weigh whirl wield
        wreck write yearn yield
    """,
    "things": """
        album angel anvil arrow banjo baton blade board books cable cello chain chalk charm chess chord chute cloth
        coins crate decal diary disco drill drone drums easel fiber flags flute gavel gears graph kayak laser ledge
        lever lotus magic medal model money motor mural music novel opera ounce paper parts patch pedal phone photo
        piano piece pipes plaid poker print prize pumps quill radar radio razor reels relic resin ropes saber sails
        scale screw shell siren slate spade spear spoke spool stove sword token tonic tools torch tower truck tubes
        tunic vault video vinyl viola wagon wedge wheel whisk wires
    """,
    "places": """
        abbey acres alley arena barns canal court depot ditch docks farms inlet kiosk malls manor mines plaza ports
        ranch roads route salon sauna shops slope spots state towns trail venue wards zones
    """,
    "feelings": """
        anger angry bliss bored brave crave cruel eager faith giddy grief guilt happy harsh humor jolly kinds loyal
        lucky mercy merry moody panic peace pride proud sadly scary shame sorry tense timid weary worry
    """,
    "looks": """
        beige black blunt broad brown cheap curly dirty dusky empty faded fancy flaky frail furry fuzzy giant green
        heavy large loose murky plain rough round rusty sharp shiny short small solid stiff thick tight vivid white
    """,
    "qualities": """
        alive alone aware basic bossy civil clear crazy dense dizzy equal exact extra fatal final first fresh front
        fully funny grand great gross handy hasty ideal inner legal local lucid major minor moral naive nasty nifty
        noisy outer petty picky prime quick quiet rapid ready regal right rigid risky royal rural sandy sassy silly
        sober spare stale steep still stout super swift third tired total tough toxic urban usual vague valid vital
        wacky whole wider witty wrong young zesty
    """,
    "ideas": """
        alibi angle asset atoms audit bible bonus canon cause chaos chart craft crime cubic curve cyber debit depth
        digit drama email error essay event fable fraud games genre glory goals habit hobby honor ideas index input
        issue juror level logic lyric media minus pixel poems power price proof prose ratio relay rhyme robot rugby
        rules shape skill speed sport stock story style sworn taxes tempo theme times title topic trend trial truth
        tunes value verse virus wages width
    """,
    "small words": """
        above along among apart aside began being below blown built could doing drawn eight every fifth fifty flown
        forty found given going grown heard known maybe meant might ninth other quite seven shall shown sixty spent
        stood stuck swept taken tenth their there these thing those three threw truly under upper where which whose
        woken would wrote
    """,
    "travel": """
        boats bumpy buses canoe cargo drove ferry gauge guest hiked hosts jetty lanes metro motto plane taxis tires
        tours visas wharf yacht
    """,
    "sounds": """
        blare blast chime chirp clang clank click crack creak groan howls moans noise quack slurp sniff snort sound
        thump tweet voice whine whoop yelps
    """,
    "shapes and stuff": """
        array batch block bunch chunk cubes dozen edges flake heaps knots loops lumps pairs piles scrap shard slabs
        trios
    """,
    "weather and light": """
        chill glare gleam glint gloom hazel heats shade sleet slush sunup
    """,
    "school": """
        atlas grade notes pages reads spelt tests vowel words
    """,
    "work": """
        bills brand broke deals debts files fired firms hired labor loans sales tasks typed union
    """,
}

WORDS: tuple[str, ...] = tuple(word for words in _BY_TOPIC.values() for word in words.split())
