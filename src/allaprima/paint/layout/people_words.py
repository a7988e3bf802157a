"""What to call the parts of a person, in English and Chinese.

`PERSON_WORDS[field][name][language]` holds ways to say one part. English phrases follow "with" (skin, hair,
eyes, brows, nose, ears, beard) or "wearing" (clothes, glasses), or stand alone (expression); Chinese phrases
are predicates that a comma can join. `{color}` stands where the colour of hair or clothes is said.
"""

from __future__ import annotations

from typing import Final

from allaprima.paint.layout.vocabulary import Language

Words = dict[str, dict[Language, tuple[str, ...]]]


def _words(*rows: tuple[str, tuple[str, ...], tuple[str, ...]]) -> Words:
    return {name: {"en": en, "zh": zh} for name, en, zh in rows}


PERSON_WORDS: Final[dict[str, Words]] = {
    "skin": _words(
        ("porcelain", ("porcelain skin", "very pale skin"), ("皮肤雪白", "肤色雪白")),
        ("fair", ("fair skin", "light skin"), ("皮肤白皙", "肤色白皙")),
        ("rosy", ("rosy skin", "rosy pink skin"), ("皮肤红润", "肤色红润")),
        ("peach", ("peach skin", "warm peach skin"), ("皮肤浅桃色", "蜜桃色皮肤")),
        ("golden", ("golden skin",), ("金黄色皮肤", "肤色金黄")),
        ("olive", ("olive skin",), ("橄榄色皮肤", "肤色橄榄")),
        ("tan", ("tan skin", "tanned skin"), ("小麦色皮肤", "肤色小麦")),
        ("bronze", ("bronze skin",), ("古铜色皮肤", "肤色古铜")),
        ("brown", ("brown skin",), ("棕色皮肤", "褐色皮肤")),
        ("dark brown", ("dark brown skin", "dark skin"), ("深棕色皮肤", "皮肤黝黑")),
    ),
    "hair": _words(
        ("quiff", ("a {color} quiff", "a {color} pompadour"), ("留着{color}飞机头", "梳着{color}飞机头")),
        ("mohawk", ("a {color} mohawk",), ("留着{color}莫西干头", "梳着{color}莫西干发型")),
        ("wisps", ("a few wisps of {color} hair", "a few {color} hairs"), ("头上只有几根{color}头发",)),
        ("bald", ("a bald head", "no hair"), ("光头", "没有头发")),
        ("mullet", ("a {color} mullet",), ("留着{color}鲻鱼头", "留着{color}狼尾头")),
        ("long hair", ("long {color} hair", "long wavy {color} hair"), ("留着{color}长发", "{color}长发披肩")),
        ("turban", ("a {color} turban",), ("戴着{color}头巾", "包着{color}头巾")),
        ("bob", ("a {color} bob", "short {color} hair"), ("留着{color}短发", "留着{color}波波头")),
    ),
    "hair_color": _words(
        ("black", ("black",), ("黑色",)),
        ("brown", ("brown",), ("棕色", "褐色")),
        ("auburn", ("auburn",), ("红棕色", "赤褐色")),
        ("ginger", ("ginger", "orange"), ("橘色", "橙色")),
        ("blond", ("blond", "blonde"), ("金色",)),
        ("grey", ("grey", "gray"), ("灰色",)),
        ("white", ("white",), ("白色",)),
        ("red", ("red",), ("红色",)),
        ("blue", ("blue",), ("蓝色",)),
        ("pink", ("pink",), ("粉色", "粉红色")),
        ("purple", ("purple",), ("紫色",)),
        ("green", ("green",), ("绿色",)),
    ),
    "eyes": _words(
        ("oval", ("oval eyes",), ("椭圆的眼睛",)),
        ("round", ("round eyes",), ("圆圆的眼睛",)),
        ("shadowed", ("purple eye shadow", "painted eyelids"), ("涂着紫色眼影",)),
        ("smiling", ("smiling eyes", "closed smiling eyes"), ("笑眯眯的眼睛", "眯着眼睛")),
        ("smiling shadowed", ("smiling eyes and purple eye shadow",), ("眯着涂了紫色眼影的眼睛",)),
    ),
    "brows": _words(
        ("raised", ("raised eyebrows",), ("扬着眉毛",)),
        ("lowered", ("slanted eyebrows", "worried eyebrows"), ("垂着眉毛",)),
        ("raised with lashes", ("raised eyebrows and lashes", "long eyelashes"), ("眉毛扬起，睫毛长长",)),
        ("lowered with lashes", ("slanted eyebrows and lashes",), ("眉毛低垂，睫毛长长",)),
    ),
    "nose": _words(
        ("curved", ("a curved nose",), ("弯弯的鼻子",)),
        ("pointed", ("a pointed nose",), ("尖尖的鼻子",)),
        ("round", ("a round nose",), ("圆圆的鼻子",)),
    ),
    "ears": _words(
        ("small", ("small ears",), ("小耳朵",)),
        ("long", ("long earlobes",), ("长长的耳垂",)),
    ),
    "beard": _words(
        ("beard", ("a {color} beard", "a full {color} beard"), ("留着{color}大胡子", "留着{color}络腮胡")),
        ("stubble", ("stubble", "a stubbly chin"), ("留着胡茬", "满脸胡茬")),
    ),
    "clothes": _words(
        ("sweater", ("a {color} sweater", "a {color} crew-neck sweater"),
         ("穿着{color}毛衣", "穿着{color}圆领毛衣")),
        ("wide-neck top", ("a {color} wide-neck top", "a {color} top"), ("穿着{color}上衣", "穿着{color}宽领上衣")),
        ("collared shirt", ("a {color} shirt", "a {color} collared shirt"),
         ("穿着{color}衬衫", "穿着{color}翻领衬衫")),
    ),
    "clothes_color": _words(
        ("white", ("white",), ("白色",)),
        ("black", ("black",), ("黑色",)),
        ("grey", ("grey", "gray"), ("灰色",)),
        ("red", ("red",), ("红色",)),
        ("orange", ("orange",), ("橙色", "橘色")),
        ("yellow", ("yellow",), ("黄色",)),
        ("green", ("green",), ("绿色",)),
        ("blue", ("blue",), ("蓝色",)),
        ("purple", ("purple",), ("紫色",)),
        ("pink", ("pink",), ("粉色", "粉红色")),
    ),
    "glasses": _words(
        ("round", ("round glasses", "a pair of round glasses"), ("戴着圆框眼镜", "戴着圆眼镜")),
        ("square", ("square glasses", "a pair of square glasses"), ("戴着方框眼镜", "戴着方眼镜")),
    ),
    "expression": _words(
        ("smile", ("smiling", "smiling gently"), ("微笑着", "面带微笑")),
        ("laugh", ("laughing", "laughing happily"), ("大笑着", "开怀大笑")),
        ("smirk", ("smirking",), ("得意地笑着", "坏笑着")),
        ("surprise", ("surprised", "looking surprised"), ("很惊讶", "惊讶地张着嘴")),
        ("sad", ("sad", "looking sad"), ("很伤心", "一脸难过")),
        ("frown", ("frowning", "looking unhappy"), ("很不高兴", "撇着嘴")),
        ("nervous", ("nervous", "gritting their teeth"), ("很紧张", "紧张地咬着牙")),
        ("pout", ("pouting", "puckering their lips"), ("嘟着嘴", "撅着嘴")),
    ),
}  # fmt: skip
"""field of `Person` or `Identity` -> its name there -> language -> ways to say it."""
