"""Sphinx extension: `{quiz}`, a question with answers to choose from that needs no script.

The directive's body ends with a paragraph, the question, and a list, the answers. Exactly one
answer is ticked, and each is followed by a paragraph or more that say why it is right or wrong:

    :::{quiz}
    Which is larger?

    - [ ] The ELBO.

      It is a lower bound.
    - [x] The log evidence.

      The gap is a KL divergence, which is never negative.
    :::

On the page the answers are radio buttons, and the style sheet shows the explanation of the chosen
one. In print, and in formats other than HTML, all is shown that a reader without a button needs.
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class Quiz(nodes.General, nodes.Element):
    """What leads up to the question, then one QuizChoice."""


class QuizChoice(nodes.General, nodes.Element):
    """One QuizQuestion, then QuizAnswers."""


class QuizQuestion(nodes.General, nodes.TextElement):
    pass


class QuizAnswer(nodes.General, nodes.Element):
    """One QuizLabel, then one QuizWhy; `right` says which answer it is."""


class QuizLabel(nodes.General, nodes.TextElement):
    pass


class QuizWhy(nodes.General, nodes.Element):
    pass


class QuizError(ValueError):
    """A quiz that is not one: what is wrong with it, and the node where."""


class QuizDirective(SphinxDirective):
    has_content = True

    def run(self):
        body = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, body)
        self.name_of_group = f"quiz-{self.env.new_serialno('quiz') + 1}"
        try:
            return [self.quiz(body)]
        except QuizError as fault:
            message, where = fault.args
            logger.error("quiz: %s", message, location=where or self.get_location())
            return []

    def quiz(self, body):
        *before, question, answers = [None, None, *body]
        if not isinstance(answers, nodes.bullet_list) or not isinstance(question, nodes.paragraph):
            raise QuizError(
                "ends with the question, one paragraph, and the list of its answers.", None
            )
        answers = [self.answer(item, n) for n, item in enumerate(answers, 1)]
        right = sum(answer["right"] for answer in answers)
        if right != 1 or len(answers) < 2:
            raise QuizError(
                "needs two answers or more, exactly one of them ticked [x]; "
                f"got {len(answers)}, {right} of them ticked.",
                None,
            )
        choice = QuizChoice("", QuizQuestion("", "", *question), *answers)
        return Quiz("", *filter(None, before), choice, ids=[self.name_of_group])

    def answer(self, item, number):
        label, *why = [*item] or [None]
        box = label[0] if isinstance(label, nodes.paragraph) else None
        if not isinstance(box, nodes.raw):
            raise QuizError("an answer begins with [ ] or, if it is right, [x].", item)
        text = "".join(node.astext() for node in label[1:])
        if not why:
            raise QuizError(
                f"no explanation of the answer {text.strip()!r}: write it below the answer, after "
                "an empty line, indented as the answer is.",
                item,
            )
        right = "checked" in box.astext()
        verdict = nodes.strong("", "Right." if right else "No.")
        if not isinstance(why[0], nodes.paragraph):
            why.insert(0, nodes.paragraph())
        why[0][:0] = [verdict, nodes.Text(" ")]
        return QuizAnswer(
            "",
            QuizLabel("", "", *label[1:]),
            QuizWhy("", *why),
            right=right,
            group=self.name_of_group,
            number=number,
        )


def visit_quiz(self, node):
    self.body.append(self.starttag(node, "div", CLASS="quiz"))


def visit_choice(self, node):
    self.body.append("<fieldset>")


def visit_question(self, node):
    self.body.append("<legend>")


def visit_answer(self, node):
    group, ident = node["group"], f"{node['group']}-{node['number']}"
    right = " quiz-right" if node["right"] else ""
    self.body.append(
        f'<div class="quiz-answer{right}"><input type="radio" name="{group}" id="{ident}">'
    )


def visit_label(self, node):
    answer = node.parent
    self.body.append(f'<label for="{answer["group"]}-{answer["number"]}">')


def visit_why(self, node):
    # The live region stays; what is shown in it is read out.
    self.body.append('<div aria-live="polite"><div class="quiz-why">')


def closing(tags):
    return lambda self, node: self.body.append(tags + "\n")


class PlainQuiz(SphinxPostTransform):
    """Where nothing can be pressed: the answers as a list, then the right one and why."""

    default_priority = 9

    def run(self):
        if self.app.builder.format == "html":
            return
        for node in [*self.document.findall(Quiz)]:
            *before, choice = node
            question, *answers = choice
            items = [nodes.list_item("", nodes.paragraph("", "", *a[0])) for a in answers]
            listing = nodes.enumerated_list(
                "", *items, enumtype="loweralpha", prefix="", suffix="."
            )
            (place,) = (n for n, answer in enumerate(answers) if answer["right"])
            why = [*answers[place][1]]
            why[0].insert(0, nodes.Text(f"{chr(ord('a') + place)}. "))
            node.replace_self([*before, nodes.paragraph("", "", *question), listing, *why])


def setup(app):
    app.add_directive("quiz", QuizDirective)
    app.add_node(Quiz, html=(visit_quiz, closing("</div>")))
    app.add_node(QuizChoice, html=(visit_choice, closing("</fieldset>")))
    app.add_node(QuizQuestion, html=(visit_question, closing("</legend>")))
    app.add_node(QuizAnswer, html=(visit_answer, closing("</div>")))
    app.add_node(QuizLabel, html=(visit_label, closing("</label>")))
    app.add_node(QuizWhy, html=(visit_why, closing("</div></div>")))
    app.add_post_transform(PlainQuiz)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
