"""Things that can be drawn as an icon: the language model picks one of them for a text.

All are names in the Lucide set, so that what the model picks can be drawn.
"""

DRAWABLE = tuple(
    """
    thermometer clock timer calendar leaf sprout recycle sun moon cloud snowflake flame droplet wind mountain shield
    lock key bell battery plug zap lightbulb gauge scale ruler weight volume ear mic headphones camera film phone
    smartphone laptop monitor printer wifi bluetooth radio satellite globe map compass car bike bus plane ship truck
    package box gift store tag receipt wallet coins percent calculator book school pencil palette brush scissors
    hammer wrench drill factory cog puzzle rocket flag trophy medal star heart users baby dog cat fish bird apple
    carrot cherry wheat coffee wine utensils cookie pizza house bed sofa lamp bath microwave fence umbrella tent
    backpack shirt glasses watch gem crown hand handshake eye stethoscope pill activity dumbbell footprints
    microscope dna atom cpu database server code bug send mail folder search
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
