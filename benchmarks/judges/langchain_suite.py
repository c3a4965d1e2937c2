"""The chat and embeddings suites of `langchain-tests`, on a server that the environment names."""

# They are installed beside the project, not with it.
# pyright: basic, reportMissingImports=false

import os

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

HOW = {"base_url": os.environ["JUDGED_URL"] + "/v1", "api_key": os.environ["JUDGED_KEY"], "max_retries": 0}


class TestChat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        # Streams tell their usage when they are asked to, which this client does for OpenAI's own address alone.
        model = os.environ["JUDGED_MODEL"]
        return {**HOW, "model": model, "temperature": 0, "max_tokens": 400, "stream_usage": True}

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {**HOW, "model": "potion-base-8m", "check_embedding_ctx_length": False}
