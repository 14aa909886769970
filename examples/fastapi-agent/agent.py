"""An agent without Roost's library: any server on port 8080 that answers GET /health will do."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="fastapi-agent")


class Question(BaseModel):
    text: str


class Answer(BaseModel):
    text: str
    words: int


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "Healthy"}


@app.post("/invoke")
def invoke(question: Question) -> Answer:
    return Answer(text=question.text.upper(), words=len(question.text.split()))
